"""Tokenizers that are made here: Unigram, with XLM-R's special tokens and templates."""

from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # XLM-R's first four ids; <mask> is the last id


def unigram_tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """A Unigram tokenizer of pieces with their log probabilities.

    Text that is not a piece is split into smaller pieces. Text is normalised by NFKC, and all white space
    becomes single plain spaces.
    """
    tokenizer = Tokenizer(models.Unigram([*((s, 0.0) for s in SPECIAL), *pieces, ("<mask>", 0.0)], unk_id=3))
    spaces = normalizers.Replace(Regex(r"[\s\u200b-\u200f\ufeff]+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces, normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    pair, ends = "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair=pair, special_tokens=ends
    )
    tokenizer.add_special_tokens([*SPECIAL, AddedToken("<mask>", lstrip=True, special=True)])
    return tokenizer


def segmented(made: Tokenizer, lines: list[str]) -> Iterator[list[int]]:
    """Yield the ids of each line, without special tokens; a thousand lines are encoded at a time."""
    for start in range(0, len(lines), 1000):
        yield from (
            line.ids for line in made.encode_batch_fast(lines[start : start + 1000], add_special_tokens=False)
        )
