"""Rows as lines of text, with what they share said once; read back exactly as they were.

Three steps, each undone in reading: what all rows have is taken out of them; a list of objects with the same
plain fields becomes an object of columns; and an object or list that still stands in many places is a part,
said once and named by its hash. A key that no row has, the mark, tells columns {mark: {...}} and references
{mark: "hash"} from what rows say.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

# characters: a shorter object or list is written where it stands, a reference is hardly shorter
LEAST_LENGTH = 48


@dataclass(frozen=True)
class Factored:
    """Rows as text: the mark, what all share, the parts by their names, and a line a row in their order."""

    mark: str
    shared: dict[str, Any]
    parts: dict[str, str]
    lines: list[str]


def factored(rows: list[dict]) -> Factored:
    """Rows of JSON with what they share taken out. The same rows give the same text."""
    mark, shared = unused(rows), common(rows) if len(rows) > 1 else {}
    told = [columned(rest(row, shared), mark) for row in rows]
    names = names_of_parts(repeated(told))
    parts = {names[text]: written(json.loads(text), names, mark, top=True) for text in names}
    lines = [written(row, names, mark, top=True) for row in told]
    return Factored(mark, shared, dict(sorted(parts.items())), lines)


def unfactored(line: str, mark: str, shared: str, parts: dict[str, str]) -> dict:
    """The row of a line, all of it new: nothing of one row is in another. `shared` is text too.

    Raises: KeyError for a part that is not there, ValueError for what is no JSON.
    """

    def undone(found: dict) -> Any:
        if mark not in found:
            return found
        told = found[mark]
        if isinstance(told, str):
            return json.loads(parts[told], object_hook=undone)
        return [dict(zip(told, cells, strict=True)) for cells in zip(*told.values(), strict=True)]

    return merged_fields(json.loads(shared), json.loads(line, object_hook=undone))


# -- what all rows share -------------------------------------------------------------------------------------


def common(values: list[dict]) -> dict:
    """What all of these objects have, field by field and in the objects of their fields."""
    found = {}
    for key in values[0]:
        same = [value[key] for value in values if key in value]
        if len(same) < len(values):
            continue
        if len({text_of(value) for value in same}) == 1:
            found[key] = same[0]
        elif all(isinstance(value, dict) for value in same) and (inner := common(same)):
            found[key] = inner
    return found


def rest(value: dict, shared: dict) -> dict:
    """An object without what is shared: `merged_fields` gives it back."""
    left = {}
    for key, of in value.items():
        if key not in shared:
            left[key] = of
        elif isinstance(of, dict) and (inner := rest(of, shared[key])):
            left[key] = inner
    return left


def merged_fields(shared: dict, left: dict) -> dict:
    """An object of what is shared and what is its own."""
    both = {key: merged_fields(shared[key], of) if key in shared else of for key, of in left.items()}
    return shared | both


# -- what some rows share ------------------------------------------------------------------------------------


def unused(rows: list[dict]) -> str:
    """The shortest mark that is no key of an object anywhere in the rows."""
    known = set()
    for value in inside(rows):
        known.update(value if isinstance(value, dict) else ())
    return next(mark for n in count(1) if (mark := "@" * n) not in known)


def inside(value: Any) -> Iterator[Any]:
    """A value and everything in it."""
    yield value
    for of in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inside(of)


def columned(value: Any, mark: str) -> Any:
    """A value in which every list of objects with the same plain fields is an object of columns."""
    if isinstance(value, dict):
        return {key: columned(of, mark) for key, of in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) > 1 and same_fields(value):
        return {mark: {key: [line[key] for line in value] for key in sorted(value[0])}}
    return [columned(of, mark) for of in value]


def same_fields(values: list) -> bool:
    """Whether all are objects with the same fields, and no object or list in any of them."""
    if not all(isinstance(value, dict) and value and value.keys() == values[0].keys() for value in values):
        return False
    return not any(isinstance(of, dict | list) for value in values for of in value.values())


def repeated(values: list) -> list[str]:
    """The texts of what stands in more than one place. What is inside of such a thing counts once."""
    times: Counter[str] = Counter()

    def visit(value: Any) -> None:
        if isinstance(value, dict | list) and len(text := text_of(value)) >= LEAST_LENGTH:
            times[text] += 1
            if times[text] == 1:
                inner(value)

    def inner(value: dict | list) -> None:
        for of in value.values() if isinstance(value, dict) else value:
            visit(of)

    for value in values:
        inner(value)
    return [text for text, n in times.items() if n > 1]


def names_of_parts(texts: list[str]) -> dict[str, str]:
    """Each text's name: of its hash as many letters as tell all of them apart, and eight at least."""
    whole = {text: hashlib.sha256(text.encode()).hexdigest() for text in texts}
    length = next(n for n in range(8, 65) if len({name[:n] for name in whole.values()}) == len(whole))
    return {text: name[:length] for text, name in whole.items()}


def written(value: Any, names: dict[str, str], mark: str, top: bool = False) -> str:
    """A value as text, with references in the place of parts; `top`: of the part itself."""

    def put(value: Any, top: bool) -> Any:
        if not isinstance(value, dict | list):
            return value
        if not top and (name := names.get(text_of(value))):
            return {mark: name}
        if isinstance(value, dict):
            return {key: put(of, False) for key, of in value.items()}
        return [put(of, False) for of in value]

    return text_of(put(value, top))


def text_of(value: Any) -> str:
    """JSON without spaces, sorted: one text for what is equal as JSON, where 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
