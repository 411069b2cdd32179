"""What packed training and scoring must equal: the plain padded path; and a tokenizer for many scripts."""

import copy
from collections import Counter
from dataclasses import replace
from functools import cache
from math import log
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS  # noqa: F401  names "sdpa"

from xit_core.design.encoders import FOLDER, Encoder, weights_hash
from xit_core.design.scales import SCALES, Scale
from xit_core.design.tasks import TASKS
from xit_core.model import schedule
from xit_core.model.features import sequences
from xit_core.model.kinds import mlm
from xit_core.model.pieces import SPECIAL, unigram_tokenizer


def twin(net):
    """The same weights on transformers' own attention."""
    other = copy.deepcopy(net, {id(net.tokenizer): net.tokenizer})
    other.encoder.set_attn_implementation("sdpa")
    return other


def pad(features):
    """(ids, mask) of all sequences of a batch, padded to the longest."""
    parts = [torch.tensor(np.array(x, np.int64)) for f in features for x in sequences(f)]
    ids = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=1)
    return ids, (torch.arange(ids.shape[1]) < torch.tensor([len(x) for x in parts])[:, None]).long()


def logits(net, name, features):
    """(B, C) of a batch, or (B, T, C) where they are by token."""
    head, kind, (ids, mask) = net.heads[name], TASKS[name].kind, pad(features)
    states = net.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    if kind in ("classify", "choose"):
        vector = (
            (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            if net.pooling != "first"
            else states[:, 0]
        )
        found = head.out(torch.tanh(head.dense(vector)))
        if kind == "choose" and net.pooling == "match":
            cosines = [alike(*both) for both in zip(ids, states, strict=True)]
            found = found + head.likeness * torch.stack(cosines)[:, None]
        return found.view(len(features), -1) if kind == "choose" else found
    if kind == "mlm":
        table = net.encoder.get_input_embeddings().weight
        return functional.linear(head.norm(functional.gelu(head.dense(states))), table, head.bias)
    return (
        head.out(states) if kind == "tag" else head.out(states).masked_fill(mask[..., None] == 0, -torch.inf)
    )


def alike(ids, states):
    """The cosine of the mean states before and after the first </s>. Shapes: (T,), (T, H) -> scalar."""
    first, *_, last = (ids == 2).nonzero().flatten().tolist()
    return functional.cosine_similarity(states[1:first].mean(0), states[first + 2 : last].mean(0), dim=0)


def loss(net, name, features):
    """The mean that the recipe declares."""
    found, kind = logits(net, name, features), TASKS[name].kind
    gold = [torch.tensor(np.array(f["gold"], np.int64)) for f in features]
    if kind in ("classify", "choose"):
        return functional.cross_entropy(found, torch.cat(gold))
    if kind == "span":
        start, end = torch.stack(gold).T
        return (
            functional.cross_entropy(found[..., 0], start) + functional.cross_entropy(found[..., 1], end)
        ) / 2
    if kind == "mlm":
        gold = [
            torch.full((f["length"],), -100).index_put_((torch.tensor(f["hidden"]),), g)
            for f, g in zip(features, gold, strict=True)
        ]
    gold = torch.nn.utils.rnn.pad_sequence(gold, batch_first=True, padding_value=-100)
    return functional.cross_entropy(found.flatten(0, 1), gold.flatten(), ignore_index=-100)


def hidden(net, name, features, at):
    """What masked LM hides in the step `at` (seed, step); other tasks as they are."""
    if TASKS[name].kind != "mlm":
        return features
    return mlm.hide(features, 0.15, net.vocabulary, np.random.default_rng(at))


def fit(net, mixture, lr, seed, gradient=loss):
    """Every step's loss of a plain loop over the whole embedding table."""
    learned = net.trained
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": schedule.DECAY},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=schedule.EPSILON, fused=True)
    rates, losses = (
        torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: schedule.slope(step, mixture.steps)),
        [],
    )
    net.train()
    for step in range(mixture.steps):
        name, features = mixture.at(step)
        value = gradient(net, name, hidden(net, name, features, (seed, step)))
        if value.requires_grad:
            value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), schedule.CLIP)
        optimiser.step()
        rates.step()
        optimiser.zero_grad()
        losses.append(value.item())
    return losses


def row_of(found):
    """An evaluation as the ledger would have it, with its predictions and what it read."""
    return found.row() | {"predictions": found.predictions, "seen": found.seen}


# -- a tokenizer in the manner of XLM-R's, for real text in many scripts -------------------------------------


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
