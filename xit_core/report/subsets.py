"""What the book shows of the adversarial rows of real tasks: how many in each language, their hash, and some.

The rows themselves are not in this repository. `keep` writes what is shown from a mirror of them, and a test
compares the two where the mirror is.
"""

import csv
from pathlib import Path

from ..data import reading
from ..design.scales import PIVOT, Scale
from ..design.tasks import NLI, TASKS, languages
from ..machine.files import write_whole
from ..machine.places import PACKAGE
from .markdown import folded, markdown_table, small
from .published import csv_table
from .questions.size import PAIRS

NAME = "adversarial"  # of the package's table
SCALE = "small"  # whose rows they are
SHOWN = 5  # rows of each subset, at equal distances
COLUMNS = ("subset", "lang", "rows", *NLI, "sha256", "source", "licence", "premise", "hypothesis", "label")


def taken(scale: Scale) -> list[dict[str, str]]:
    """A line for each subset and language (its rows, and how many have each label), and one a row shown.

    Raises: Bad where the rows are not at hand.
    """
    lines = []
    for name in (outside for _, outside in PAIRS):
        for lang in languages(TASKS[name], scale):
            found, (seen, *_) = reading.examples(TASKS[name], "validation", lang, scale)
            labels = [example["label"] for example in found]
            told = {label: labels.count(i) for i, label in enumerate(NLI)}
            told |= {key: seen[key] for key in ("sha256", "source", "licence")}
            lines.append({"subset": name, "lang": lang, "rows": len(found)} | told)
            for row in found[:: len(found) // SHOWN][:SHOWN] if lang == PIVOT else ():
                shown = {"premise": row["a"], "hypothesis": row["b"], "label": NLI[row["label"]]}
                lines.append({"subset": name, "lang": lang} | shown)
    return [{column: str(line.get(column, "")) for column in COLUMNS} for line in lines]


def keep(scale: Scale) -> Path:
    """Write the package's table anew. Raises: Bad as `taken`."""
    lines = taken(scale)

    def write(part: Path) -> None:
        with open(part, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)

    return write_whole(PACKAGE / f"{NAME}.csv", write)


def page() -> str:
    """The subsets with their languages, labels and hashes, and five rows of each in the pivot language."""
    lines, texts = csv_table(NAME), []
    for name in dict.fromkeys(line["subset"] for line in lines):
        own = [line for line in lines if line["subset"] == name]
        counts = [line for line in own if line["rows"]]
        first = counts[0]
        balance = ", ".join(f"{first[label]} {label}" for label in NLI)
        hashes = folded([f"{line['lang']} `{line['sha256'][:12]}`" for line in counts], ", ", "languages")
        rows = [[line[key] for key in ("premise", "hypothesis", "label")] for line in own if line["label"]]
        texts.append(
            f"**`{name}`**: {int(first['rows']):,} rows in {len(counts)} language{'s' * (len(counts) > 1)} "
            f"({balance} in each), from "
            f"`{first['source']}` ({first['licence']}). Hashes by language: {hashes}\n\n"
            + small(markdown_table(["premise", "hypothesis", "label"], rows))
        )
    return "".join(texts)
