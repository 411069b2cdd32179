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
