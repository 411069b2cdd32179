"""Rows as lines of text in which shared content is written once; reading gives back exactly the same rows.

Writing takes three steps, and reading undoes each. Fields that all rows share are taken out of them. A list
of objects with the same plain fields becomes an object of columns. An object or list that still occurs in
several places becomes a part, written once and named by its hash. The mark is a key that no row has. It
distinguishes columns {mark: {...}} and references {mark: "hash"} from the rows' own objects.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

# characters; a shorter object or list is written in place, because a reference is hardly shorter
LEAST_LENGTH = 48


@dataclass(frozen=True)
class Factored:
    """Rows as text: the mark, the shared fields, the parts by name, and one line a row in the rows' order."""

    mark: str
    shared: dict[str, Any]
    parts: dict[str, str]
    lines: list[str]


def factored(rows: list[dict]) -> Factored:
    """Rows of JSON as text, with shared content taken out; the same rows give the same text."""
    mark, shared = unused(rows), common(rows) if len(rows) > 1 else {}
    own_fields = [columned(rest(row, shared), mark) for row in rows]
    names = names_of_parts(repeated(own_fields))
    parts = {names[text]: written(json.loads(text), names, mark, top=True) for text in names}
    lines = [written(row, names, mark, top=True) for row in own_fields]
    return Factored(mark, shared, dict(sorted(parts.items())), lines)


def unfactored(line: str, mark: str, shared: str, parts: dict[str, str]) -> dict:
    """The row that a line holds. `shared` is text too, so that no two rows have an object in common.

    Raises: KeyError for a missing part, ValueError for invalid JSON.
    """

    def undone(found: dict) -> Any:
        if mark not in found:
            return found
        value = found[mark]
        if isinstance(value, str):
            return json.loads(parts[value], object_hook=undone)
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]

    return merged_fields(json.loads(shared), json.loads(line, object_hook=undone))


# -- what all rows share -------------------------------------------------------------------------------------


def common(values: list[dict]) -> dict:
    """The fields that all of these objects have with equal values, also within nested objects."""
    shared = {}
    for key in values[0]:
        present = [value[key] for value in values if key in value]
        if len(present) < len(values):
            continue
        if len({text_of(value) for value in present}) == 1:
            shared[key] = present[0]
        elif all(isinstance(value, dict) for value in present) and (inner := common(present)):
            shared[key] = inner
    return shared


def rest(value: dict, shared: dict) -> dict:
    """An object without the shared fields; `merged_fields` undoes this."""
    own = {}
    for key, item in value.items():
        if key not in shared:
            own[key] = item
        elif isinstance(item, dict) and (inner := rest(item, shared[key])):
            own[key] = inner
    return own


def merged_fields(shared: dict, left: dict) -> dict:
    """An object with the shared fields and its own."""
    both = {key: merged_fields(shared[key], item) if key in shared else item for key, item in left.items()}
    return shared | both


# -- what some rows share ------------------------------------------------------------------------------------


def unused(rows: list[dict]) -> str:
    """The shortest mark ("@", "@@", ...) that is not a key of any object in the rows."""
    keys = set()
    for value in inside(rows):
        keys.update(value if isinstance(value, dict) else ())
    return next(mark for n in count(1) if (mark := "@" * n) not in keys)


def inside(value: Any) -> Iterator[Any]:
    """A value and, recursively, all values in it."""
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inside(item)


def columned(value: Any, mark: str) -> Any:
    """A value with every list of objects with the same plain fields turned into an object of columns."""
    if isinstance(value, dict):
        return {key: columned(item, mark) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) > 1 and same_fields(value):
        return {mark: {key: [row[key] for row in value] for key in sorted(value[0])}}
    return [columned(item, mark) for item in value]


def same_fields(values: list) -> bool:
    """Whether all are non-empty objects with the same fields, and no field is an object or a list."""
    if not all(isinstance(value, dict) and value and value.keys() == values[0].keys() for value in values):
        return False
    return not any(isinstance(item, dict | list) for value in values for item in value.values())


def repeated(values: list) -> list[str]:
    """The texts of objects and lists that occur more than once; the contents of a repeated one count once."""
    times: Counter[str] = Counter()

    def visit(value: Any) -> None:
        if isinstance(value, dict | list) and len(text := text_of(value)) >= LEAST_LENGTH:
            times[text] += 1
            if times[text] == 1:
                inner(value)

    def inner(value: dict | list) -> None:
        for item in value.values() if isinstance(value, dict) else value:
            visit(item)

    for value in values:
        inner(value)
    return [text for text, n in times.items() if n > 1]


def names_of_parts(texts: list[str]) -> dict[str, str]:
    """A name for each text: the start of its hash, at least 8 letters and as many as make names differ."""
    hashes = {text: hashlib.sha256(text.encode()).hexdigest() for text in texts}
    length = next(n for n in range(8, 65) if len({name[:n] for name in hashes.values()}) == len(hashes))
    return {text: name[:length] for text, name in hashes.items()}


def written(value: Any, names: dict[str, str], mark: str, top: bool = False) -> str:
    """A value as text, with references in place of parts; `top`: do not replace the value itself."""

    def put(value: Any, top: bool) -> Any:
        if not isinstance(value, dict | list):
            return value
        if not top and (name := names.get(text_of(value))):
            return {mark: name}
        if isinstance(value, dict):
            return {key: put(item, False) for key, item in value.items()}
        return [put(item, False) for item in value]

    return text_of(put(value, top))


def text_of(value: Any) -> str:
    """A value as sorted JSON without spaces; equal JSON gives equal text, and 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
