"""What data sets state about themselves: a number, or None where nothing is stated."""

import pytest

from xit_core.machine.errors import Bad
from xit_core.report import published


def test_a_stated_count_is_a_number_also_0_and_none_where_nothing_is_stated():
    assert published.stated_count("xnli", "languages") == 15
    assert published.stated_count("bucc", "train") == 0
    assert published.stated_count("xnli", "nothing") is None is published.stated_count("nothing", "train")


def test_a_stated_count_that_is_no_number_is_named():
    with pytest.raises(Bad, match=r"sizes\.csv: qqp, origin: got 'Quora'; allowed: a whole number"):
        published.stated_count("qqp", "origin")


def test_claim_8_is_recomputed_from_published_rows(monkeypatch):
    gains = published.published_gains()
    assert len(gains) == 7 and gains["TyDiQA-GoldP"] == pytest.approx((59.5 + 76.0 - 45.0 - 65.1) / 2)
    # the table's own averages, 72.7 and 70.1, are rounded
    assert sum(gains.values()) / 7 == pytest.approx(72.7 - 70.1, abs=0.1)
    text = published.consistency("best")
    assert "Consistent with what is published" in text and "+2.5 points" in text and "15.5 each" in text
    rows = [row | {"sourced": "1.0"} if row["row"].startswith("STiLTs") else row for row in
            published.csv_table("published")]  # fmt: skip
    monkeypatch.setattr(published, "csv_table", lambda name: rows)
    assert (
        published.consistency("best").startswith("*Not consistent") and published.consistency("squad") == ""
    )


def test_claim_11_is_recomputed_from_published_rows(monkeypatch):
    text = published.consistency("sota")
    assert (
        text.startswith("*Consistent") and "first on 6 of the 6 tasks" in text and "TyDiQA-GoldP +5.4" in text
    )
    rows = [row | {"sourced": "90"} if row["row"].startswith("mBERT") else row for row in
            published.csv_table("published")]  # fmt: skip
    monkeypatch.setattr(published, "csv_table", lambda name: rows)
    assert published.consistency("sota").startswith("*Not consistent")
