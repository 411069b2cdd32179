"""Rows of every task, in the column layout of the real data sets, each one told from events of the world.

A row depends on (config, split, language, seed, index) alone, so asking for more rows keeps the first ones. Row i
means the same in all languages, except where the real test sets are not parallel either (OWN).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from zlib import crc32

from xit_core.config import Bad
from xit_core.micro import world
from xit_core.micro.languages import LANGUAGES
from xit_core.micro.tell import (
    TRANSLATION_ERROR,
    UPOS,
    Teller,
    Tokens,
    attribute,
    both,
    clause,
    ended,
    phrase,
    reported,
)
from xit_core.micro.world import CLASS_OF, CLASSES, HYPERNYM, OPPOSITE, VERBS, Event, Thing, belongs, cast, event, pick

BUCC_GOLD = 1 / 3  # share of each BUCC pool that has a translation on the other side
NER = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
TRANSITIVE = tuple(v for v in VERBS if VERBS[v].patients)
PLACED = tuple(v for v in VERBS if VERBS[v].place)
PERSONAL = tuple(v for v in VERBS if "person" in VERBS[v].patients)
Dice = random.Random


# ---- sentence pairs ------------------------------------------------------------------------------------------------


def _widen(rng: Dice, e: Event) -> Event:
    """The same said less exactly: no adjective, or just the kind of thing; under a negation that would not follow."""
    if e.negated or not e.patient or rng.random() < 0.4:
        return e
    kind = HYPERNYM.get(CLASS_OF[e.patient.head]) if rng.random() < 0.6 else None
    return e._replace(patient=Thing(kind or e.patient.head))


def _oppose(rng: Dice, e: Event) -> Event:
    """Something that cannot be true together with `e`: the opposite verb or adjective, or negated."""
    if e.negated or rng.random() < 0.4:
        return e._replace(negated=not e.negated)
    if e.patient and e.patient.adjective and rng.random() < 0.5:
        return e._replace(patient=e.patient._replace(adjective=OPPOSITE[e.patient.adjective]))
    return e._replace(verb=OPPOSITE[e.verb]) if e.verb in OPPOSITE else e._replace(negated=True)


def _differ(rng: Dice, e: Event, split: str) -> Event:
    """Something that `e` neither says nor excludes: roles exchanged, another thing, another person, another event."""
    while True:
        dice, kind = rng.random(), CLASS_OF[e.patient.head] if e.patient else ""
        if dice < 0.25 and kind == "person":
            new = e._replace(agent=e.patient, patient=e.agent)
        elif dice < 0.5 and kind:
            new = e._replace(patient=world.thing(rng, kind, 0.2))
        elif dice < 0.75:
            new = e._replace(agent=cast(rng, 1)[0])
        else:
            new = event(rng, split, agent=e.agent)._replace(negated=e.negated)
        heads = [(x.verb, x.agent.head, x.patient and x.patient.head) for x in (e, new)]
        if (
            heads[0] != heads[1]
            and new.verb != OPPOSITE.get(e.verb)
            and heads[1][1] != heads[1][2]
            and belongs(new, split)
        ):
            return new


def _unsaid(rng: Dice, e: Event, split: str) -> Event:
    """A premise from which `e` does not follow: a different event, or one with less detail."""
    if not e.negated and (e.place or e.time) and rng.random() < 0.5:
        return e._replace(place=None, time="")
    if not e.negated and e.patient and CLASS_OF[e.patient.head] in HYPERNYM and rng.random() < 0.2:
        return e._replace(patient=Thing(HYPERNYM[CLASS_OF[e.patient.head]]))
    return _differ(rng, e, split)


def _nli(rng: Dice, split: str) -> tuple[list[Event], Event, int]:
    """Premise events, hypothesis, label 0 1 2. The hypothesis is drawn without the label and so cannot give it away."""
    base = event(rng, split, detail=0.3)._replace(negated=rng.random() < 0.3)
    hypothesis = _widen(rng, base)
    widened = hypothesis.patient and hypothesis.patient.head not in CLASS_OF
    label = rng.randrange(3)
    if label == 0:
        told = base
    elif label == 1:
        told = _differ(rng, base, split) if widened else _unsaid(rng, hypothesis, split)
    else:
        told = _oppose(rng, hypothesis)
    if not told.negated and label != 1 and rng.random() < 0.5:
        where = told.place or world.place(rng, told.verb)
        told = told._replace(place=where, time=told.time or pick(rng, CLASSES["time"]))
    other = event(rng, split, agent=cast(rng, 1)[0], detail=0.2)
    if other.verb in (base.verb, OPPOSITE.get(base.verb)) or rng.random() < 0.7:
        return [told], hypothesis, label
    return ([told, other] if rng.random() < 0.5 else [other, told]), hypothesis, label


def mnli(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    premise, hypothesis, label = _nli(rng, split)
    return {"premise": tell.story(premise), "hypothesis": tell.say(hypothesis), "label": label, "idx": i}


def xnli(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    premise, hypothesis, label = _nli(rng, split)
    gold = ("entailment", "neutral", "contradiction")[label]
    row = {"language": tell.code, "sentence1": tell.story(premise), "sentence2": tell.say(hypothesis)}
    return row | {"gold_label": gold}


def anli(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    premise, hypothesis, label = _nli(rng, split)
    taken = {verb for e in premise for verb in (e.verb, OPPOSITE.get(e.verb))}
    premise += [e for e in world.story(rng, split, 2, detail=0.2) if e.verb not in taken]
    rng.shuffle(premise)
    row = {"uid": f"micro-{i}", "premise": tell.story(premise), "hypothesis": tell.say(hypothesis)}
    return row | {"label": label, "reason": ""}


def qqp(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    e = event(rng, split, verbs=TRANSITIVE, detail=1.0)
    ask, other = rng.sample(("agent", "patient", "place"), 2)
    label, second = rng.randrange(2), e
    if not label and rng.random() < 0.5:
        second = _differ(rng, e, split)._replace(place=e.place, time=e.time)
    parts = {"agent": second.agent == e.agent, "patient": second.patient == e.patient and second.verb == e.verb}
    same = all(equal for part, equal in parts.items() if part != ask)  # the one difference may be what is asked for
    asked = ask if label or not same else other
    early, late = rng.sample(("", "time"), 2)
    row = {"question1": tell.say(e, ask, early), "question2": tell.say(second, asked, late)}
    return row | {"label": label, "idx": i}


def pawsx(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    while True:
        e = event(rng, split, verbs=PERSONAL, kinds=("person",), agent=cast(rng, 1)[0], detail=1.0)
        swapped = e._replace(agent=e.patient, patient=e.agent)
        if belongs(swapped, split):
            break
    label = rng.randrange(2)
    other = (
        e if label else swapped if rng.random() < 0.5 else _differ(rng, e, split)._replace(place=e.place, time=e.time)
    )
    first, second = rng.sample(("", "time", "place"), 2)
    texts = tell.say(e, fronted=first), tell.say(other, fronted=second)
    return {"sentence1": texts[0], "sentence2": texts[1], "label": str(label)}


# ---- questions on passages -----------------------------------------------------------------------------------------


def _passage(tell: Teller, events: list[Event], asked: int, ask: str) -> tuple[str, str, int]:
    """Text, the asked part as it stands there, and its offset in characters."""
    words: list[str] = []
    inside: list[int] = []
    for n, e in enumerate(events):
        tokens = ended(clause(tell.code, e))
        inside += [len(words) + k for k, token in enumerate(tokens) if n == asked and token.part == ask]
        words += tell.list(tokens)
    start = len(" ".join(words[: inside[0]])) + (inside[0] > 0) if inside else -1
    return " ".join(words), " ".join(words[k] for k in inside), start


def _question(rng: Dice, split: str, answerable: bool = True) -> tuple[list[Event], Event, int, str]:
    """A story, the event that is asked about, its index (-1: not in the story), and the part."""
    events = world.story(rng, split, 3, detail=0.3)
    n = rng.randrange(len(events))
    e = events[n]
    ask = rng.choice([p for p in ("agent", "patient", "place") if getattr(e, p)])
    if answerable:
        return events, e._replace(time="", place=e.place if ask == "place" else None), n, ask
    used = {x.verb for x in events}
    while True:  # the same people, but what they are asked about did not happen
        e = event(rng, split, agent=rng.choice(events).agent, detail=1.0)
        if e.verb not in used and (e.patient or ask != "patient"):
            return events, e._replace(time="", place=e.place if ask == "place" else None), -1, ask


def squad1(rng: Dice, split: str, tell: Teller, i: int, answerable: bool = True) -> dict:
    events, e, n, ask = _question(rng, split, answerable)
    context, answer, start = _passage(tell, events, n, ask)
    answers = {"text": [answer] if n >= 0 else [], "answer_start": [start] if n >= 0 else []}
    row = {"id": f"{tell.code}-{crc32(context.encode()):08x}-{i}", "title": "micro", "context": context}
    return row | {"question": tell.say(e, ask), "answers": answers}


def squad2(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    return squad1(rng, split, tell, i, rng.random() < 0.5)


def xquad(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    row = squad1(rng, split, tell, i)
    return {key: row[key] for key in ("id", "context", "question", "answers")}


# ---- choices -------------------------------------------------------------------------------------------------------


def _endings(rng: Dice, split: str) -> tuple[list[Event], list[Event], int]:
    """A script, four candidate last events by the same character (one is the script's), and which it is."""
    while True:
        names, people = rng.sample(tuple(world.SCRIPTS), len(world.SCRIPTS)), cast(rng)
        told = world.play(rng, names[0], people)
        if not all(belongs(e, split) for e in told):
            continue
        endings = [last for name in names[1:] if belongs(last := world.play(rng, name, people)[2], split)][:3]
        if len(endings) == 3:
            break
    gold = rng.randrange(4)
    endings.insert(gold, told[2])
    return told, [e._replace(place=None) for e in endings], gold


def hellaswag(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    told, endings, gold = _endings(rng, split)
    context, ends = tell.story(told[:2]), [tell.say(e) for e in endings]
    row = {"ind": i, "activity_label": "", "ctx_a": context, "ctx_b": "", "ctx": context, "endings": ends}
    return row | {"source_id": f"micro~{i}", "split": split, "split_type": "indomain", "label": str(gold)}


def _places(rng: Dice, verb: str, n: int) -> tuple[list[Thing], int]:
    gold = rng.randrange(n)
    wrong = rng.sample([p for p in CLASSES["place"] if p != VERBS[verb].place], n - 1)
    return [Thing(p) for p in (*wrong[:gold], VERBS[verb].place, *wrong[gold:])], gold


def cosmosqa(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    if rng.random() < 0.5:  # what happens next?
        told, endings, gold = _endings(rng, split)
        events = told[:2]
        answers = [tell.say(e) for e in endings]
        question = next_question(tell, told[2].agent)
    else:  # where was it? The passage does not say; the world knows
        e = event(rng, split, verbs=PLACED, agent=cast(rng, 1)[0], detail=0)
        others = world.story(rng, split, 2, detail=0.3, scripts=0)
        events = [e, *(x._replace(place=None) for x in others if x.verb != e.verb)]
        rng.shuffle(events)
        options, gold = _places(rng, e.verb, 4)
        answers = [" ".join(tell.list(ended(phrase(tell.code, option)))) for option in options]
        question = tell.say(e, "place")
    row = {"id": f"micro-{i}", "context": tell.story(events), "question": question}
    return row | {f"answer{k}": answer for k, answer in enumerate(answers)} | {"label": gold}


def next_question(tell: Teller, who: Thing) -> str:
    """What somebody does next."""
    tokens = clause(tell.code, Event("do", who, Thing("it"), time="next"), "patient")
    return " ".join(tell.list(ended(tokens, "?")))


def csqa(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    kind = rng.choice(("place", "role", "patient"))
    verbs = {"place": PLACED, "role": tuple(v for v in VERBS if VERBS[v].role), "patient": TRANSITIVE}[kind]
    e = event(rng, split, verbs=verbs, agent=cast(rng, 1)[0], detail=0)
    gold = rng.randrange(5)
    if kind == "place":
        options, gold = _places(rng, e.verb, 5)
        ask = "place"
    elif kind == "role":
        right = VERBS[e.verb].role
        wrong = rng.sample([r for r in CLASSES["role"] if r != right], 4)
        options, ask = [Thing(r) for r in (*wrong[:gold], right, *wrong[gold:])], "agent"
    else:
        kinds = {"animal", "food", "text", "instrument", "object", "place", "town"} - set(VERBS[e.verb].patients)
        wrong = [world.thing(rng, k, 0) for k in rng.sample(sorted(kinds), 4)]
        options, ask = [*wrong[:gold], Thing(e.patient.head), *wrong[gold:]], "patient"
    texts = [" ".join(tell.list(phrase(tell.code, option))) for option in options]
    choices = {"label": list("ABCDE"), "text": texts}
    row = {"id": f"micro-{i}", "question": tell.say(e, ask), "question_concept": tell.words[e.verb]}
    return row | {"choices": choices, "answerKey": "ABCDE"[gold]}


# ---- tags ----------------------------------------------------------------------------------------------------------


def _sentence(rng: Dice, split: str, code: str, names: float = 0.0) -> Tokens:
    """One sentence of any form; `names`: chance that a named agent is an organisation or has a family name too."""
    e = event(rng, split, detail=0.5)._replace(negated=rng.random() < 0.1)
    if CLASS_OF[e.agent.head] == "person" and rng.random() < names:
        family = Thing(e.agent.head, family=pick(rng, CLASSES["family"]))
        other = e._replace(agent=family if rng.random() < 0.5 else world.thing(rng, "guild"))
        e = other if belongs(other, split) else e
    if e.patient and CLASS_OF[e.patient.head] not in ("person", "role") and rng.random() < 0.1:
        e = e._replace(patient=e.patient._replace(adjective="two"))
    form, quality = rng.random(), pick(rng, CLASSES["adjective"])
    if form < 0.1 and belongs(Event("is", e.agent, Thing(quality)), split):
        return ended(attribute(code, e.agent._replace(adjective=""), quality))
    if form < 0.2:
        return ended(reported(code, cast(rng, 1)[0], e))
    if form < 0.35:
        return ended(both(code, e, rng.choice([v for v in VERBS if not VERBS[v].patients])))
    if form < 0.45 and e.patient:
        return ended(clause(code, e, rng.choice(("agent", "patient"))), "?")
    return ended(clause(code, e, fronted=rng.choice(("", "", "time", "place"))))


def ccg(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    tokens = _sentence(rng, split, tell.code)
    return {"tokens": tell.list(tokens), "supertags": [t.supertag for t in tokens]}


def udpos(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    tokens = _sentence(rng, split, tell.code)
    return {"tokens": tell.list(tokens), "pos_tags": [UPOS.index(t.upos) for t in tokens]}


def panx(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    tokens = _sentence(rng, split, tell.code, names=0.6)
    tags = [NER.index(t.entity) for t in tokens]
    return {"tokens": tell.list(tokens), "ner_tags": tags, "langs": [tell.code] * len(tags)}


# ---- the same in two languages -------------------------------------------------------------------------------------


def tatoeba(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    e = event(rng, split, detail=0.8)
    other = {"source_sentence": tell.say(e), "target_sentence": Teller("en").say(e)}
    return other | {"source_lang": tell.code, "target_lang": "en"}


def _mined(lang: str, side: str, number: int) -> str:
    """The id of the sentence that gold pair `number` has on one side; gold and distractors are interleaved."""
    code = "en" if side == "target" else lang
    step = round(1 / BUCC_GOLD)
    return f"{code}-{number * step + crc32(f'{side}{lang}{number}'.encode()) % step + 1:09d}"


def bucc(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    e = event(rng, split, detail=0.8)
    texts = {"source_sentence": tell.say(e), "target_sentence": Teller("en").say(e)}
    return texts | {"source_lang": _mined(tell.code, "source", i), "target_lang": _mined(tell.code, "target", i)}


def bucc_pool(side: str, lang: str, n: int, seed: int = 0) -> list[dict]:
    """`n` sentences of one side ("source" = lang, "target" = en) of a comparable corpus: every third has a translation
    (row k of "bucc", "validation"), the others are like it: new events, or a gold one with one part exchanged."""
    tell = Teller("en" if side == "target" else lang)
    out = []
    for at in range(n):
        number = at // round(1 / BUCC_GOLD)
        said = event(random.Random(f"bucc validation {lang} {seed} {number}"), "validation", detail=0.8)
        name = f"{tell.code}-{at + 1:09d}"
        if name != _mined(lang, side, number):
            rng = random.Random(f"{side} {lang} {at} {seed}")
            said = _differ(rng, said, "validation") if rng.random() < 0.5 else event(rng, "validation", detail=0.8)
        out.append({"id": name, "sentence": tell.say(said)})
    return out


# ---- plain text ----------------------------------------------------------------------------------------------------


def mlm(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A page: three to five sentences, half the time with some of them taken up again; or, for the language's declared
    share of pages, two or three sentences, each told in two languages."""
    code, partner = tell.code, ""
    if rng.random() < tell.language.bilingual:
        others = [c for c in LANGUAGES if c != code]
        partner = "en" if code != "en" and rng.random() < 0.7 else rng.choice(others)
    tellers = [tell, Teller(partner)] if partner else [tell]
    rng.shuffle(tellers)
    said = []
    events = _page(rng, split, rng.choice((2, 3)) if partner else rng.choice((3, 4, 5)))
    for e in events:
        said += [t.say(e) if isinstance(e, Event) else " ".join(t.list(e(t.code))) for t in tellers]
    plain = [e for e in events if isinstance(e, Event) and not e.negated]
    if not partner and rng.random() < 0.5:
        said += [_again(rng, tell, e) for e in rng.sample(plain, min(2, len(plain)))]
    return {"text": " ".join(said), "source": f"micro-{code}{'-' + partner if partner else ''}"}


def _again(rng: Dice, tell: Teller, e: Event) -> str:
    """An event taken up again: asked about and answered, or with its adjuncts at the beginning."""
    if rng.random() < 0.3:
        return tell.say(e, fronted=rng.choice(("time", "place")))
    ask = rng.choice([part for part in ("agent", "patient", "place") if getattr(e, part)])
    answer = ended(phrase(tell.code, getattr(e, ask)))
    return f"{tell.say(e._replace(time=''), ask)} {' '.join(tell.list(answer))}"


def _page(rng: Dice, split: str, n: int) -> list[Event | Callable[[str], Tokens]]:
    """A story; now and then a thing is taken up by its kind, something is denied and its opposite said, or a sentence
    has another form (a function of the language; the same sentence in each)."""
    out: list = list(world.story(rng, split, n, detail=0.5, scripts=0.6))
    for k, e in enumerate(out):
        dice, kind = rng.random(), HYPERNYM.get(CLASS_OF[e.patient.head]) if e.patient else None
        if dice < 0.2:
            seed = rng.random()
            out[k] = lambda code, seed=seed: _sentence(random.Random(seed), split, code, names=0.3)
        elif dice < 0.4 and kind:
            out[k] = e._replace(patient=Thing(kind))
        elif dice < 0.6 and e.verb in OPPOSITE:
            out[k] = e._replace(negated=True)
            out[k + 1 : k + 2] = [e._replace(verb=OPPOSITE[e.verb])] * (k + 1 < n)
            break
        elif dice < 0.65:
            out[k] = e._replace(negated=True)
    return out


# ---- the table -----------------------------------------------------------------------------------------------------

Make = Callable[[Dice, str, Teller, int], dict]
NINE = (anli, mnli, qqp, squad2, squad1, hellaswag, ccg, cosmosqa, csqa)
INTERMEDIATE: dict[str, Make] = {make.__name__: make for make in NINE}
MAKERS = INTERMEDIATE | {make.__name__: make for make in (mlm, xnli, pawsx, udpos, panx, xquad, bucc, tatoeba)}
MAKERS |= {"mlqa": xquad, "tydiqa": squad1}
OWN = ("udpos", "panx", "tydiqa", "bucc", "mlm")  # not parallel: other content in each language


def rows(config: str, split: str, lang: str, n: int, seed: int = 0) -> list[dict]:
    """`n` rows of a task as its real data set lays them out. Raises Bad for what does not exist."""
    if lang not in LANGUAGES:
        raise Bad(f"no micro language {lang!r}; known: {', '.join(LANGUAGES)}")
    if config == "bucc_pool" and split in ("source", "target"):
        return bucc_pool(split, lang, n, seed)
    if config not in MAKERS or split not in ("train", "validation"):
        known = f"{', '.join(MAKERS)} (train, validation), bucc_pool (source, target)"
        raise Bad(f"no micro rows {config!r} {split!r}; known: {known}")
    make, own = MAKERS[config], lang if config in OWN else "*"
    error = TRANSLATION_ERROR if config in INTERMEDIATE and lang != "en" else 0.0
    out = []
    tell = Teller(lang)
    for i in range(n):
        if error:
            tell = Teller(lang, f"{config} {split} {seed} {i}", error)
        out.append(make(random.Random(f"{config} {split} {own} {seed} {i}"), split, tell, i))
    return out
