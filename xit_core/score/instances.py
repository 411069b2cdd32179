"""Which evaluation rows belong together, so that intervals count them as one draw."""

from collections.abc import Hashable

Ties = dict[str, list[tuple[Hashable, ...]]]  # for each language, the keys of each row


def ties(rows: list[dict], lang: str, made: bool) -> list[tuple[Hashable, ...]]:
    """The keys of evaluation rows: rows that have a key in common belong together.

    A row's id is the same in all languages where a task is parallel, and a paragraph (or premise) is shared
    by the questions about it. `made`: whether the rows are from a generated world, in which the number that
    an id ends with is that of the event, in all languages.
    """
    return [(row["id"].rsplit("-", 1)[-1] if made else row["id"], *paragraph(row, lang)) for row in rows]


def paragraph(row: dict, lang: str) -> tuple[tuple[str, str], ...]:
    """The key of the text that several rows of a language may share; () where a row has none."""
    text = row.get("context") or row.get("a")
    return ((lang, text),) if text else ()


def clusters(keys: Ties) -> dict[str, list[int]]:
    """The number of the cluster of each row, by language: rows are together that keys connect.

    Clusters are numbered as they appear. Shapes: (N_lang,) for each language.
    """
    from scipy.cluster.hierarchy import DisjointSet

    every_row = [row for rows in keys.values() for row in rows]
    joined = DisjointSet({key for row in every_row for key in row})
    for first, *others in every_row:
        for other in others:
            joined.merge(first, other)
    numbers: dict[Hashable, int] = {}
    return {
        lang: [numbers.setdefault(joined[row[0]], len(numbers)) for row in rows]
        for lang, rows in keys.items()
    }
