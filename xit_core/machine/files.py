"""Reading and writing the project's own files.

A file is complete or absent, even when several processes write it, and it is checked when it is read.
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

MOST = 2**63 - 1  # largest seed or number of rows, which every library accepts
ROOM = "free some space or name another folder with XIT_RUNS"
RESTORE = "restore it (git checkout, or install the package again)"
MARKER = "<<<<<<< "  # git's mark of a merge conflict

# What a file of JSON must hold: a type (float: a finite number) or one of several, [shape], or {field:
# shape}. A field "name?" may be absent; "*" stands for every field that is not named.
Shape = type | tuple[type, ...] | list | dict

# -- writing -------------------------------------------------------------------------------------------------


def write_whole(
    path: Path, make: Callable[[Path], object], advice: str = ROOM, full: type[Exception] = OSError
) -> Path:
    """Let `make(part)` write a file or folder in a temporary place, then move it to `path` in one step.

    `full`: what `make` raises, besides OSError, when the disk is full.
    Raises: Bad with `advice` when it cannot be written; nothing is left behind then.
    """

    def alone(aside: Path) -> list[str]:
        make(aside / path.name)
        return [path.name]

    write_together(path.parent, alone, str(path), advice, full)
    return path


def write_text(path: Path, content: str, advice: str = ROOM) -> Path:
    """Write a text file atomically, and return its path.

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
    """Let `make(aside)` write files, then move them into `folder` in the order of the names that it returns.

    `aside` is a new hidden folder for this call only, so processes that write the same files do not disturb
    each other; the last one wins. `named`: what the error message calls the files.
    Raises: Bad with `named` and `advice` when they cannot be written.
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
    """Move a file into place with the permissions of a new file; some libraries make theirs private."""
    if part.is_file():
        (plain := part.with_name(".plain")).touch()
        os.chmod(part, plain.stat().st_mode)
    os.replace(part, path)


# -- reading -------------------------------------------------------------------------------------------------


def load(file: Path, shape: dict[str, Any], advice: str) -> dict:
    """The object in a JSON file, checked against `shape` and, if it contains its hash, against that.

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


def load_all(folder: Path, shape: dict[str, Any]) -> tuple[dict[Path, dict], list[Path]]:
    """The objects of a folder's JSON files in the order of their names, and the files that are damaged."""
    found, damaged = {}, []
    for file in sorted(file for file in folder.glob("*.json") if not file.name.startswith(".")):
        try:
            found[file] = load(file, shape, "")
        except Bad:
            damaged.append(file)
    return found, damaged


def parsed(content: str) -> Any:
    """The value of a JSON text.

    Raises: ValueError or RecursionError for invalid JSON, and for values that cannot be written again, such
    as NaN and unpaired surrogates.
    """
    if not content.strip():
        raise ValueError("it is empty")
    if content.startswith(MARKER) or f"\n{MARKER}" in content:
        raise ValueError("it has git's conflict markers")
    try:
        value = json.loads(content, parse_constant=_no_number)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from None
    if "\\u" in content:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _no_number(name: str):
    raise ValueError(f"{name} is no number")


def misfit(value: Any, shape: Shape, where: str = "") -> str:
    """A text about the first place where a value does not have the shape; "" when it has."""
    if isinstance(shape, list):
        if isinstance(value, list):
            return next(
                filter(None, (misfit(item, shape[0], f"{where}[{i}]") for i, item in enumerate(value))), ""
            )
        return f"{_at(where)} is {reprlib.repr(value)}, needed: a list"
    if isinstance(shape, dict):
        if isinstance(value, dict):
            return next(filter(None, _fields(value, shape, where)), "")
        return f"{_at(where)} is {reprlib.repr(value)}, needed: an object of fields"
    return "" if _fits(value, shape) else f"{_at(where)} is {reprlib.repr(value)}, needed: {_named(shape)}"


def _fields(value: dict, shape: dict[str, Any], where: str) -> Iterable[str]:
    """For each field, what is wrong with it; "" when nothing is."""
    for name, kind in shape.items():
        field = name.removesuffix("?")
        if field in value:
            yield misfit(value[field], kind, f"{where}.{field}" if where else field)
        elif field == name != "*":
            yield f"{_at(f'{where}.{name}' if where else name)} is missing"
    if "*" in shape:
        named = {name.removesuffix("?") for name in shape}
        yield from (
            misfit(item, shape["*"], f"{where}.{field}")
            for field, item in value.items()
            if field not in named
        )


def _at(where: str) -> str:
    return f"field {where!r}" if where else "it"


def _fits(value: Any, kind: type | tuple[type, ...]) -> bool:
    if isinstance(kind, tuple):
        return any(_fits(value, option) for option in kind)
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
    return " or ".join(words.get(option, "null") for option in (kind if isinstance(kind, tuple) else (kind,)))


def read_foreign(file: Path, read: Callable[[Path], Any], advice: str, what: str = "damaged") -> Any:
    """What `read`, a library's function, returns for a file or folder in the library's own format.

    `what`: the word for such a file in the message. Raises: Bad when it is damaged or cannot be read.
    """
    try:
        return read(file)
    except (Bad, MemoryError):
        raise
    except PermissionError as error:
        raise Bad(f"{file}: cannot be read ({error.strerror}); make it readable") from None
    except Exception as error:  # libraries raise a dozen types for a damaged file
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise Bad(f"{file}: {what} ({reason}); {advice}") from None


# -- hashes --------------------------------------------------------------------------------------------------


def sealed(content: dict) -> dict:
    """An object as read back from JSON, with its hash added as "sha256"."""
    plain = json.loads(json.dumps(content, allow_nan=False))
    return plain | {"sha256": content_hash(plain)}


def hash_mismatch(content: dict) -> str:
    """What is wrong with the hash in an object; "" when it is right or absent."""
    same = "sha256" not in content or content["sha256"] == content_hash(content)
    return "" if same else "its content is not that of its sha256"


def content_hash(content: dict) -> str:
    """The sha256 of an object's content, without its own "sha256" field."""
    text = json.dumps({name: value for name, value in content.items() if name != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256(file: Path) -> str:
    """The sha256 of a file's bytes."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
