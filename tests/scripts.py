"""A tokenizer in the manner of XLM-R's for real text in many scripts, and a tiny encoder with it."""

from collections import Counter
from dataclasses import replace
from functools import cache
from math import log
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM

from xit_core.design.encoders import FOLDER, Encoder, weights_hash
from xit_core.design.scales import SCALES, Scale
from xit_core.model.pieces import SPECIAL, unigram_tokenizer

# the first article of the Declaration of Human Rights, or its beginning
TEXT = """
All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.
Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.
Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison, là où été.
Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón.
Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Hồ sâu.
Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler.
Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι.
يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا. سد النهضة كبير
تمام افراد بشر آزاد به دنیا می آیند و از لحاظ حیثیت و حقوق با هم برابرند. می خواهم بروم
सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।
সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে। ভাষা বোঝা সহজ
มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ น้ำ ท่วม หนัก
すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。ガス と パリ
人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。中国人，你好。湖 很深 。
모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 한국의 수도 서울 은 크다
"""
BLOCKS = (
    (0x21, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x600, 0x6FF), (0x900, 0x9FF), (0xE00, 0xE7F),
    (0x1E00, 0x1EFF), (0x2010, 0x2030), (0x3001, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
)  # fmt: skip
LONGEST = 6  # letters of a piece
RARE = -16.0  # log probability of a letter by itself


@cache
def tokenizer() -> Tokenizer:
    """Unigram with NFKC: every letter of the blocks, and every part of a word of the text."""
    rules = unigram_tokenizer([]).normalizer
    letters = (chr(code) for first, last in BLOCKS for code in range(first, last + 1))
    counts: Counter[str] = Counter()
    for word in rules.normalize_str(TEXT).split():
        spelt = f"▁{word}"
        for n in range(2, LONGEST + 1):
            counts.update(spelt[i : i + n] for i in range(len(spelt) - n + 1))
    total = counts.total()
    known = {"▁", *(x for letter in letters if len(x := rules.normalize_str(letter)) == 1)}
    pieces = [(piece, log(n / total)) for piece, n in sorted(counts.items())]
    return unigram_tokenizer(pieces + [(letter, RARE) for letter in sorted(known)])


def scale(folder: Path, **changes) -> Scale:
    """The scale `small` with a tiny random encoder, written to a folder, that has this tokenizer."""
    torch.manual_seed(6)
    config = XLMRobertaConfig(
        vocab_size=tokenizer().get_vocab_size(), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1,
    )  # fmt: skip
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer(), mask_token="<mask>", **names)
    whole.save_pretrained(folder)
    of = Encoder("scripts", FOLDER, weights_hash(folder), 2, 16, place=str(folder))
    return replace(SCALES["small"], name="scripts", encoder=of, frozen_table=False, bf16=False, **changes)
