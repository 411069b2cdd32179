"""Reading the rows of a data file in the forms that publishers and spreadsheets write.

A file gives all of its rows, or none and one line that says why.
"""

import bz2
import csv
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from ..machine.errors import Bad

CACHED_BYTES = 8 << 20  # bytes; a larger file is not cached but read again for every language
OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
STREAMS = {".bz2": bz2.BZ2Decompressor, ".xz": lzma.LZMADecompressor}
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
UNREADABLE = (OSError, EOFError, UnicodeError, zlib.error, lzma.LZMAError)


def data_ending(name: str) -> str:
    """The ending of a data file's name that says how it is read, without the ending of its compression.

    It is "" for a file that is no data file.
    """
    plain = Path(name)
    plain = plain.with_suffix("") if plain.suffix in OPENERS else plain
    return (
        plain.suffix if plain.suffix in READERS and (name == plain.name or plain.suffix != ".parquet") else ""
    )


def stem(name: str) -> str:
    """The name of a data file without its endings."""
    ending = data_ending(name)
    return name[: name.rindex(ending)] if ending else name


def read_rows(file: Path) -> list[dict]:
    """Rows of a data file, read as its ending says.

    Small files are cached, because a file that mixes languages is read once for each language.

    Raises: Bad naming file and row, or an ending of no data file.
    """
    if not data_ending(file.name):
        raise Bad(f"{file}: no form that is read; allowed: a name that ends in {', '.join(READERS)}")
    stat = file.stat()
    reader = _kept if stat.st_size <= CACHED_BYTES else _kept.__wrapped__
    return reader(file, stat.st_mtime_ns)


@lru_cache(maxsize=2)
def _kept(file: Path, _stamp: int) -> list[dict]:
    with readable(file):
        return READERS[data_ending(file.name)](file)


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Turns the errors of a file that cannot be read into Bad."""
    try:
        yield
    except UnicodeError as error:
        raise Bad(f"{file}: cannot be read as UTF-8 text ({brief(error)}); save it as UTF-8") from None
    except UNREADABLE as error:
        raise Bad(f"{file}: cannot be read ({brief(error)}); copy it again") from None


def file_text(file: Path) -> str:
    """The text of a file that a person wrote, without the byte order mark that some programs put first.

    Raises: Bad when it cannot be read.
    """
    with readable(file):
        return file.read_text(encoding="utf-8-sig")


def open_text(file: Path, newline: str = "\n") -> IO[str]:
    """A text stream of a file, compressed or not. By default a line ends only at a line feed."""
    check_whole(file)
    return OPENERS.get(file.suffix, open)(file, "rt", encoding="utf-8-sig", newline=newline)


def check_whole(file: Path) -> None:
    """Read a bzip2 or xz file to its end. Python itself ignores data after a stream that is no stream.

    Raises: OSError, EOFError, LZMAError.
    """
    remaining = file.read_bytes() if file.suffix in STREAMS else b""
    while remaining:
        stream = STREAMS[file.suffix]()
        stream.decompress(remaining)
        if not stream.eof:
            raise EOFError("it ends within a stream")
        remaining = stream.unused_data.lstrip(b"\0")  # padding


def brief(error: Exception) -> str:
    """The first line of an error's message, at most 160 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


# -- forms ---------------------------------------------------------------------------------------------------


def _parquet(file: Path) -> list[dict]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        return parquet.read_table(file, partitioning=None).to_pylist()
    except (pa.ArrowException, UnicodeError, ValueError, OverflowError) as error:
        raise Bad(f"{file}: no whole parquet file ({brief(error)}); copy it again") from None


def _jsonl(file: Path) -> list[dict]:
    with open_text(file) as lines:
        return [
            parsed_row(line, f"{file}: row {i}")
            for i, line in enumerate(line for line in lines if line.strip())
        ]


def parsed_row(text: str, where: str, kind: type | tuple[type, ...] = dict) -> Any:
    """The value that a JSON text holds.

    Raises: Bad for text that is not JSON, a field that stands twice, or a value of another kind.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
        if "\\u" in text:  # half of a surrogate pair, which no UTF-8 file can hold
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        position = f", character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise Bad(
            f"{where}: no JSON ({getattr(error, 'msg', brief(error))}{position}); mend this row"
        ) from None
    if not isinstance(value, kind):
        raise Bad(f"{where}: got {text.strip():.40}; allowed: an object of fields")
    return value


def _once(fields: list[tuple[str, Any]]) -> dict:
    row = dict(fields)
    if len(row) < len(fields):
        names = [name for name, _ in fields]
        raise ValueError(f"field {next(field for field in names if names.count(field) > 1)!r} stands twice")
    return row


def _json(file: Path) -> list[dict]:
    """A list of rows, either the whole file or its "data" field.

    SQuAD's articles give one row per question, with the other fields of its paragraph.
    """
    with open_text(file) as stream:
        text = stream.read()
    try:
        content = parsed_row(text, str(file), (dict, list))
    except Bad as error:
        if "Extra data" in str(error):
            raise Bad(f"{file}: JSON lines; name it .jsonl") from None
        raise
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Bad(f'{file}: got no list of rows; allowed: a list of objects, or SQuAD\'s {{"data": [...]}}')
    return list(_questions(file, rows)) if rows and "paragraphs" in rows[0] else rows


def _questions(file: Path, articles: list[dict]) -> Iterator[dict]:
    number = 0
    for k, article in enumerate(articles):
        for paragraph in _listed(article, "paragraphs", f"{file}: article {k}"):
            shared = {k: v for k, v in paragraph.items() if k != "qas"} | {"title": article.get("title", "")}
            for question in _listed(paragraph, "qas", f"{file}: article {k}"):
                _listed({"answers": [], **question}, "answers", f"{file}: row {number}")
                try:
                    answers = {k: [a[k] for a in question["answers"]] for k in ("text", "answer_start")}
                    yield shared | {
                        "id": question["id"],
                        "question": question["question"],
                        "answers": answers,
                    }
                except (KeyError, TypeError) as error:
                    raise Bad(
                        f"{file}: row {number}: a question without {error}; needs id, question, answers"
                    ) from None
                number += 1


def _listed(holder: dict, name: str, where: str) -> list[dict]:
    """The objects in a list field of an article or a paragraph.

    Raises: Bad where the field is not a list of objects.
    """
    value = holder.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Bad(f"{where}: got {name} {value!r:.40}; allowed: a list of objects, as in SQuAD")
    return value


def _csv(file: Path) -> list[dict]:
    """Rows of a CSV file with its usual quoting; blank lines are skipped."""
    csv.field_size_limit(1 << 30)
    with open_text(file, newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            return _table(file, [row for row in reader if row], ",")
        except csv.Error as error:
            problem = f"{file}: cannot be read near line {reader.line_num or 1}"
            raise Bad(f"{problem} ({brief(error)}); mend it, or give .jsonl") from None


def _tsv(file: Path) -> list[dict]:
    """Rows of a file with one row per line and tabs between cells.

    There is no quoting: a `"` is a character like any other, as publishers write it.
    """
    with open_text(file) as stream:
        lines = [line.removesuffix("\n").removesuffix("\r") for line in stream]
    while lines and not lines[-1].strip("\r"):
        lines.pop()
    if len(lines) == 1 and "\r" in lines[0]:
        raise Bad(f"{file}: lines end with carriage returns only; save it with line feeds")
    return _table(file, [line.split("\t") for line in lines if line or "\t" not in lines[0]], "\t")


def _table(file: Path, lines: list[list[str]], separator: str) -> list[dict]:
    """Rows under a header; a repeated column name is numbered: "et", "et.1"."""
    if not lines:
        raise Bad(f"{file}: it is empty; needed: a header and rows")
    header, *rows = lines
    others = [words for mark, words in SEPARATORS.items() if len(header) == 1 and mark in header[0]]
    if others:
        raise Bad(
            f"{file}: cells are separated by {others[0]}; needed: {SEPARATORS[separator]}; save it again so"
        )
    if header[0].lower() == "sep=":
        raise Bad(f"{file}: its first line is a spreadsheet's 'sep='; needed: a header; take the line away")
    if "" in header:
        position = header.index("") + 1
        raise Bad(f"{file}: column {position} of its header has no name; name it, or take the column away")
    names = [
        f"{name}.{repeats}" if (repeats := header[:i].count(name)) else name for i, name in enumerate(header)
    ]
    if duplicates := [name for i, name in enumerate(names) if name in names[:i]]:
        raise Bad(f"{file}: column {duplicates[0]!r} stands twice in its header; name each once")
    if bad := [(i, len(row)) for i, row in enumerate(rows) if len(row) != len(names)]:
        i, size = bad[0]
        raise Bad(
            f"{file}: row {i} has {size} cells, the header {len(names)} ({', '.join(names[:6])}); mend "
            "this row"
        )
    if bad := [i for i, row in enumerate(lines) if any("\0" in cell for cell in row)]:
        raise Bad(f"{file}: line {bad[0] + 1} holds a null character: no UTF-8 text; save it as UTF-8")
    return [dict(zip(names, row, strict=True)) for row in rows]


READERS: dict[str, Callable[[Path], list[dict]]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    ".json": _json,
    ".tsv": _tsv,
    ".csv": _csv,
}
