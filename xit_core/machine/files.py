"""Files of the project's own: whole or not there, whoever else writes the same one; checked when they are
read.
"""

import hashlib
import json
import math
import os
import reprlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .errors import Bad

MOST = 2**63 - 1  # of a seed or a number of rows: what every library takes
ROOM = "free some space or name another folder with XIT_RUNS"
RESTORE = "restore it (git checkout, or install the package again)"
MARKER = "<<<<<<< "  # of git, where two versions of a file were not joined

# What a file of JSON must hold: a type (float: a finite number) or one of several, [shape], or {field:
# shape}. A field "name?" may be absent; "*" stands for every field that is not named.
Shape = type | tuple[type, ...] | list | dict

# -- writing -------------------------------------------------------------------------------------------------


def write_whole(
    path: Path, make: Callable[[Path], object], advice: str = ROOM, full: type[Exception] = OSError
) -> Path:
    """Let `make(part)` write a file or folder beside its place, and put it there in one move.

    `full`: what `make` raises, beside OSError, where the disk is full.
    Raises: Bad with `advice` when it cannot be written; nothing is left behind then.
    """

    def alone(aside: Path) -> list[str]:
        make(aside / path.name)
        return [path.name]

    write_together(path.parent, alone, str(path), advice, full)
    return path


def write_text(path: Path, content: str, advice: str = ROOM) -> Path:
    """A whole text file.

    Raises: Bad when it cannot be written.
    """
    return write_whole(path, lambda part: part.write_text(content, encoding="utf-8", newline="\n"), advice)


def write_together(
    folder: Path,
    make: Callable[[Path], Iterable[str]],
    named: str,
    advice: str = ROOM,
    full: type[Exception] = OSError,
) -> None:
    """Let `make(aside)` write files, then put them into `folder`, in the order of the names that it gives.

    `aside` is hidden, new and this process's own: two that write the same files do not meet, the later one
    counts.
    Raises: Bad that says `named` and `advice`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as aside:
            for name in make(Path(aside)):
                move(Path(aside, name), folder / name)
    except (OSError, full) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        if isinstance(error, IsADirectoryError | NotADirectoryError | FileExistsError):
            advice = f"take away what stands in its place, or {advice}"
        raise Bad(f"cannot write {named} ({reason}); {advice}") from None


def move(part: Path, path: Path) -> None:
    """Put a file in its place with the permissions of any new file: some libraries make theirs private."""
    if part.is_file():
        (plain := part.with_name(".plain")).touch()
        os.chmod(part, plain.stat().st_mode)
    os.replace(part, path)


# -- reading -------------------------------------------------------------------------------------------------


def load(file: Path, shape: dict[str, Any], advice: str) -> dict:
    """The object in a file of JSON, with the fields of `shape`, and as it was written where it says its hash.

    Raises: Bad that names the file, what is wrong with it, and `advice`.
    """
    try:
        content = parsed(file.read_text(encoding="utf-8"))
        wrong = misfit(content, shape) or hash_mismatch(content)
    except OSError as error:
        raise Bad(f"{file}: cannot be read ({error.strerror}); make it a readable file") from None
    except UnicodeError as error:
        wrong = f"no UTF-8 text: {error.reason}"
    except (ValueError, RecursionError) as error:
        wrong = str(error)
    if wrong:
        raise Bad(f"{file}: damaged ({wrong}); {advice}")
    return content


def parsed(content: str) -> Any:
    """What a text of JSON says.

    Raises: ValueError, RecursionError for none, or for what cannot be written again: NaN, halves of
    characters.
    """
    if not content.strip():
        raise ValueError("it is empty")
    if content.startswith(MARKER) or f"\n{MARKER}" in content:
        raise ValueError("it has git's conflict markers")
    try:
        found = json.loads(content, parse_constant=_no_number)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from None
    if "\\u" in content:
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _no_number(name: str):
    raise ValueError(f"{name} is no number")


def misfit(value: Any, shape: Shape, where: str = "") -> str:
    """The first place where a value has not the shape, in words; "" where there is none."""
    if isinstance(shape, list):
        if isinstance(value, list):
            return next(filter(None, (misfit(x, shape[0], f"{where}[{i}]") for i, x in enumerate(value))), "")
        return f"{_at(where)} is {reprlib.repr(value)}, needed: a list"
    if isinstance(shape, dict):
        if isinstance(value, dict):
            return next(filter(None, _fields(value, shape, where)), "")
        return f"{_at(where)} is {reprlib.repr(value)}, needed: an object of fields"
    return "" if _fits(value, shape) else f"{_at(where)} is {reprlib.repr(value)}, needed: {_named(shape)}"


def _fields(value: dict, shape: dict[str, Any], where: str) -> Iterable[str]:
    """What is wrong with each field; "" for nothing."""
    for name, kind in shape.items():
        field = name.removesuffix("?")
        if field in value:
            yield misfit(value[field], kind, f"{where}.{field}" if where else field)
        elif field == name != "*":
            yield f"{_at(f'{where}.{name}' if where else name)} is missing"
    if "*" in shape:
        known = {name.removesuffix("?") for name in shape}
        yield from (
            misfit(x, shape["*"], f"{where}.{field}") for field, x in value.items() if field not in known
        )


def _at(where: str) -> str:
    return f"field {where!r}" if where else "it"


def _fits(value: Any, kind: type | tuple[type, ...]) -> bool:
    if isinstance(kind, tuple):
        return any(_fits(value, k) for k in kind)
    if kind is float:
        return isinstance(value, float) and math.isfinite(value) or _fits(value, int)
    if kind is int:
        return type(value) is int and -MOST <= value <= MOST
    return isinstance(value, kind)


def _named(kind: type | tuple[type, ...]) -> str:
    words = {
        str: "a text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        dict: "an object",
        list: "a list",
    }
    return " or ".join(words.get(k, "null") for k in (kind if isinstance(kind, tuple) else (kind,)))


def read_foreign(file: Path, read: Callable[[Path], Any], advice: str, what: str = "damaged") -> Any:
    """What a library reads from a file (or a folder) of its own kind.

    Raises: Bad for a damaged one.
    """
    try:
        return read(file)
    except (Bad, MemoryError):
        raise
    except PermissionError as error:
        raise Bad(f"{file}: cannot be read ({error.strerror}); make it readable") from None
    except Exception as error:  # they raise a dozen types for it
        reason = f"{type(error).__name__}: {error}".split("\n")[0][:100]
        raise Bad(f"{file}: {what} ({reason}); {advice}") from None


# -- hashes --------------------------------------------------------------------------------------------------


def sealed(content: dict) -> dict:
    """An object as JSON gives it back, with its hash."""
    plain = json.loads(json.dumps(content, allow_nan=False))
    return plain | {"sha256": content_hash(plain)}


def hash_mismatch(content: dict) -> str:
    """What is wrong with an object that says its hash; "" for nothing, or where it says none."""
    same = "sha256" not in content or content["sha256"] == content_hash(content)
    return "" if same else "its content is not that of its sha256"


def content_hash(content: dict) -> str:
    """The hash of an object's content, less the hash itself."""
    told = json.dumps({k: v for k, v in content.items() if k != "sha256"}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def sha256(file: Path) -> str:
    """The hash of a file's bytes."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
