"""Original files of data sets that the hub has only in another form, or not at all.

They are Universal Dependencies and CCGbank.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ..machine.errors import Bad
from ..machine.places import local_dir
from . import formats
from .local import Part, from_own_files, misplaced

# Universal Dependencies as XTREME converts them (google-research/xtreme@0918248: scripts/download_data.sh,
# third_party/ud-conversion-tools, utils_preprocess.py udpos_preprocess; UD 2.5 in 2020). The order of tags
# that decides where a multiword token has several heads, first one wins:
RANKS = {
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
    "": "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT",
}
# the number of a word, a range of fused words, or an empty node
NUMBER = re.compile(r"\d+([-.]\d+)?", re.ASCII)
UNPACK_AGAIN = "unpack the treebanks again"
UD_SPLITS = {"train": "train", "validation": "dev", "test": "test"}


def ud(lang: str, split: str) -> list[Part]:
    """XTREME's rows {tokens, pos_tags} of a language from the user's UD 2.5; [] where there are none.

    Treebanks are chosen by file name, which tells el_gdt (Greek) from grc_proiel (Ancient Greek).

    Raises: Bad naming file and line.
    """
    folder = local_dir()
    files = folder.glob(f"ud-treebanks-v2.5/UD_*/{lang}_*-ud-{UD_SPLITS[split]}.conllu") if folder else ()
    if not (files := sorted(files, key=lambda file: file.name)):
        name = f"{lang}_*-ud-{UD_SPLITS[split]}.conllu"
        misplaced("ud-treebanks-v2.5", f"{name}*", f"ud-treebanks-v2.5/UD_*/{name}")
        return []
    if len({file.name for file in files}) < len(files):
        raise Bad(f"{files[0]}: a treebank of this name lies in two folders; keep one of them")
    ranks = RANKS.get(lang, RANKS[""]).split()
    sentences = [sentence for file in files for sentence in surface(file, ranks)]
    # treebanks whose text needs a licence have "_" for every word
    sentences = [
        tokens
        for tokens in sentences
        if (blanks := sum(form == "_" for form, _ in tokens)) == 0 or blanks < len(tokens) - 1
    ]
    rows = [
        {"tokens": [form for form, _ in tokens], "pos_tags": [tag for _, tag in tokens]}
        for tokens in sentences
    ]
    # with the split: rows of one source are not both trained on and scored
    names = f"{'+'.join(path.name.split('-')[0] for path in files)}-ud-{UD_SPLITS[split]}"
    return [from_own_files(rows, f"ud-treebanks-v2.5/{names}", files)]


def surface(file: Path, ranks: list[str]) -> Iterator[list[tuple[str, str]]]:
    """Yield the sentences of a file, each a list of (form, tag).

    Raises: Bad naming file and line.
    """
    for line, sentence in conllu(file):
        if invalid := [cells[0] for cells in sentence if not NUMBER.fullmatch(cells[0])]:
            problem = f"the sentence before line {line} has a word {invalid[0]!r:.40}"
            raise Bad(f"{file}: {problem}; allowed: 1, 1-2 or 1.1; {UNPACK_AGAIN}")
        heads = {int(cells[0]): cells[6] for cells in sentence if cells[0].isdigit()}
        if invalid := [head for head in heads.values() if head not in {"0", *map(str, heads)}]:
            problem = f"the sentence before line {line} has a head {invalid[0]!r:.40}"
            raise Bad(f"{file}: {problem}; allowed: 0, or the number of a word; {UNPACK_AGAIN}")
        numbers = [int(cells[0]) for cells in sentence if cells[0].isdigit()]
        if numbers != [*range(1, len(numbers) + 1)]:
            problem = f"the sentence before line {line} has words {numbers[:9]}, not 1, 2, ..."
            raise Bad(f"{file}: {problem}; a blank line ends a sentence: {UNPACK_AGAIN}")
        try:
            yield fused(sentence, ranks)
        except (ValueError, KeyError) as error:
            problem = f"the sentence before line {line} has a broken number ({formats.brief(error)})"
            raise Bad(f"{file}: {problem}; {UNPACK_AGAIN}") from None


def conllu(file: Path) -> Iterator[tuple[int, list[list[str]]]]:
    """Yield the sentences of a CoNLL-U file, each with the number of the line after it.

    A sentence is a list of lines of ten columns; comments are left out.

    Raises: Bad for an empty file, or for a line that does not have ten columns.
    """
    sentence, lines = [], formats.file_text(file).split("\n")
    if not any(line.strip() and not line.startswith("#") for line in lines):
        raise Bad(f"{file}: it is empty; {UNPACK_AGAIN}")
    for number, line in enumerate((*lines, ""), 1):
        cells = line.split("\t")
        if line.strip() and not line.startswith("#"):
            if len(cells) != 10:
                raise Bad(f"{file}: line {number} has {len(cells)} columns; CoNLL-U has 10; {UNPACK_AGAIN}")
            sentence.append(cells)
        elif not line.strip() and sentence:
            yield number, sentence
            sentence = []


def fused(sentence: list[list[str]], ranks: list[str]) -> list[tuple[str, str]]:
    """The form and tag of each surface token; a multiword token gets the tag of its highest word.

    The highest word has the fewest ancestors in the dependency graph, over basic and enhanced edges. Among
    equally high words, the one whose tag comes first in `ranks` is taken, then the earlier one. Tags outside
    `ranks` come last; the original program stops at them.
    """
    words = {int(cells[0]): cells for cells in sentence if cells[0].isdigit()}
    heads = {
        i: {
            int(parent)
            for parent in (columns[6], *(edge.split(":")[0] for edge in columns[8].split("|")))
            if parent.isdigit()
        }
        for i, columns in words.items()
    }

    def order(i: int) -> tuple[int, int]:
        above, fresh = {i}, set(heads[i])
        while fresh:
            above |= fresh
            fresh = {parent for word in fresh for parent in heads.get(word, ())} - above
        tag = words[i][3].strip()
        return len(above), ranks.index(tag) if tag in ranks else len(ranks)

    forms = {i: cells[1] for i, cells in words.items()}
    for cells in sentence:
        if "-" in cells[0]:
            first, last = map(int, cells[0].split("-"))
            head = min(range(first, last + 1), key=order)
            forms[head] = cells[1]
            forms = {i: form for i, form in forms.items() if i == head or not first <= i <= last}
    return [
        (form.strip().replace("\u200c", "").replace(" ", ""), words[i][3].strip())
        for i, form in forms.items()
    ]


# a leaf holds: category, two part-of-speech tags, word, category with its heads
LEAF = re.compile(r"<L (\S+) \S+ \S+ (\S+) \S+>")
SECTIONS = {"train": range(2, 22), "validation": range(1)}  # sections of the Wall Street Journal


def ccgbank(split: str) -> list[Part]:
    """Rows {tokens, supertags} of the user's CCGbank (LDC2005T13); [] where there is none.

    Raises: Bad naming file and line, or the sections that are missing.
    """
    folder, rows = local_dir(), []
    files = {
        section: sorted(folder.glob(f"ccgbank/data/AUTO/{section:02}/wsj_*.auto")) if folder else []
        for section in SECTIONS.get(split, ())
    }
    if not any(files.values()):
        misplaced("ccgbank", "wsj_*.auto*", "ccgbank/data/AUTO/<section>/wsj_*.auto", "data/AUTO/*/*.auto")
        return []
    if missing := [f"{section:02}" for section, paths in files.items() if not paths]:
        needed = f"{split} needs all of its {len(files)} sections"
        raise Bad(f"ccgbank/data/AUTO: nothing in {', '.join(missing)}; {needed}")
    files = sum(files.values(), [])
    for file in files:
        rows += derivations(file)
    return [from_own_files(rows, f"ccgbank/data/AUTO/{'02-21' if split == 'train' else '00'}", files)]


def derivations(file: Path) -> list[dict]:
    """The sentences of a CCGbank file as rows {tokens, supertags}.

    Raises: Bad naming file and line.
    """
    rows = []
    for number, line in enumerate(formats.file_text(file).split("\n"), 1):
        leaves = LEAF.findall(line)
        if len(leaves) != line.count("<L ") or not leaves and line.strip() and not line.startswith("ID="):
            problem = f"{file}: line {number}: neither a derivation nor its ID"
            raise Bad(f"{problem}; copy CCGbank's AUTO folder again")
        if leaves:
            tags, words = map(list, zip(*leaves, strict=True))
            rows.append({"tokens": words, "supertags": tags})
    if not rows:
        raise Bad(f"{file}: it holds no derivation; copy CCGbank's AUTO folder again")
    return rows


# readers of original files, by name: (language, split) -> parts, [] where the user has none
ORIGINALS: dict[str, Callable[[str, str], list[Part]]] = {
    "ud": ud,
    "ccgbank": lambda _, split: ccgbank(split),
}
