"""Rows of every task, in the column layout of the real data sets, each one made from events of the world.

A row depends only on (config, split, language, seed, index), so asking for more rows keeps the first ones.
Row i means the same in all languages, except where the real test sets are not parallel either (OWN).
"""

from zlib import crc32

from ..design.tasks import IOB2, NLI, UPOS
from . import world
from .languages import LANGUAGES
from .tell import Teller, Token, Tokens, clause, ended, phrase, reported
from .world import (
    CLASS_OF,
    CLASSES,
    HYPERNYM,
    OPPOSITE,
    SCRIPTS,
    VERBS,
    Dice,
    Event,
    Thing,
    belongs,
    cast,
    event,
    pick,
)

DISAGREE = 0.1  # share of the preferences that are the other way round
MISSED = 0.1  # share of what happens that a scene does not show, and of scenes that show what does not
BUCC_GOLD = 1 / 3  # share of the sentences in each BUCC pool that have a translation on the other side
HAVING = {
    field: tuple(v for v in VERBS if getattr(VERBS[v], field)) for field in ("patients", "place", "role")
}


def _widen(rng: Dice, e: Event) -> Event:
    """The same event said less exactly: without the adjective, or with just the kind of thing.

    A negated event stays as it is, because the less exact event would not follow from it.
    """
    if e.negated or not e.patient or rng.random() < 0.4:
        return e
    return e._replace(
        patient=Thing(HYPERNYM.get(e.kind, e.patient.head) if rng.random() < 0.6 else e.patient.head)
    )


def _oppose(rng: Dice, e: Event) -> Event:
    """An event that cannot be true together with `e`: the opposite verb or adjective, or the negation."""
    if e.negated or rng.random() < 0.4:
        return e._replace(negated=not e.negated)
    if e.patient and e.patient.adjective and rng.random() < 0.5:
        return e._replace(patient=e.patient._replace(adjective=OPPOSITE[e.patient.adjective]))
    return e._replace(verb=OPPOSITE[e.verb]) if e.verb in OPPOSITE else e._replace(negated=True)


def _differ(rng: Dice, e: Event, split: str) -> Event:
    """An event that `e` neither implies nor excludes.

    It has roles exchanged, another thing, another person, or is another event.
    """
    while True:
        dice = rng.random()
        if dice < 0.25 and e.kind == "person":
            new = e._replace(agent=e.patient, patient=e.agent)
        elif dice < 0.5 and e.kind:
            new = e._replace(patient=world.thing(rng, e.kind, 0.2))
        elif dice < 0.75:
            new = e._replace(agent=cast(rng, 1)[0])
        else:
            new = event(rng, split, agent=e.agent)._replace(negated=e.negated)
        old, heads = ((x.verb, x.agent.head, x.patient and x.patient.head) for x in (e, new))
        if heads != old and heads[1] != heads[2] and new.verb != OPPOSITE.get(e.verb) and belongs(new, split):
            return new


def _unsaid(rng: Dice, base: Event, e: Event, split: str) -> Event:
    """A premise from which `e`, a wider `base`, does not follow.

    It is a different event, or one with less detail.
    """
    if e.patient and not e.kind:
        return _differ(rng, base, split)
    if not e.negated and (e.place or e.time) and rng.random() < 0.5:
        return e._replace(place=None, time="")
    if not e.negated and e.kind in HYPERNYM and rng.random() < 0.2:
        return e._replace(patient=Thing(HYPERNYM[e.kind]))
    return _differ(rng, e, split)


def _nli(rng: Dice, split: str) -> tuple[list[Event], Event, int]:
    """Premise events, hypothesis, and label (0, 1 or 2).

    The hypothesis is drawn without the label, so it cannot give the label away.
    """
    base = event(rng, split, detail=0.3)._replace(negated=rng.random() < 0.3)
    hypothesis, label = _widen(rng, base), rng.randrange(3)
    statement = (
        base
        if label == 0
        else _unsaid(rng, base, hypothesis, split)
        if label == 1
        else _oppose(rng, hypothesis)
    )
    if not statement.negated and label != 1 and rng.random() < 0.5:
        statement = statement._replace(
            place=statement.place or world.place(rng, statement.verb),
            time=statement.time or pick(rng, CLASSES["time"]),
        )
    premise, other = [statement], event(rng, split, agent=cast(rng, 1)[0], detail=0.2)
    if other.verb not in (base.verb, OPPOSITE.get(base.verb)) and rng.random() >= 0.7:
        premise.insert(rng.random() < 0.5, other)
    return premise, hypothesis, label


def mnli(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A premise of one or two sentences, a hypothesis, and the number of the label."""
    premise, hypothesis, label = _nli(rng, split)
    return {"premise": tell.story(premise), "hypothesis": tell.say(hypothesis), "label": label, "idx": i}


def xnli(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """The same as `mnli`, with the label as a word."""
    return as_xnli(*_nli(rng, split), tell)


def as_xnli(premise: list[Event], hypothesis: Event, label: int, tell: Teller) -> dict:
    """A row as XNLI has it."""
    return {
        "language": tell.code,
        "sentence1": tell.story(premise),
        "sentence2": tell.say(hypothesis),
        "gold_label": NLI[label],
    }


def anli(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """The same as `mnli`, with a longer premise."""
    premise, hypothesis, label = _nli(rng, split)
    taken = {verb for e in premise for verb in (e.verb, OPPOSITE.get(e.verb))}
    premise += [e for e in world.story(rng, split, 2, detail=0.2) if e.verb not in taken]
    rng.shuffle(premise)
    return {
        "uid": f"micro-{i}",
        "premise": tell.story(premise),
        "hypothesis": tell.say(hypothesis),
        "label": label,
        "reason": "",
    }


def qqp(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """Two questions, and whether they ask the same."""
    e = event(rng, split, verbs=HAVING["patients"], detail=1.0)
    ask, other = rng.sample(("agent", "patient", "place"), 2)
    label, second = rng.randrange(2), e
    if not label and rng.random() < 0.5:
        second = _differ(rng, e, split)._replace(place=e.place, time=e.time)
    equal = {
        "agent": second.agent == e.agent,
        "patient": second.patient == e.patient and second.verb == e.verb,
    }
    # the only difference may be in the part that is asked for
    same = all(equal[part] for part in equal if part != ask)
    early, late = rng.sample(("", "time"), 2)
    texts = {
        "question1": tell.say(e, ask, early),
        "question2": tell.say(second, ask if label or not same else other, late),
    }
    return texts | {"label": label, "idx": i}


def two_people(rng: Dice, split: str, detail: float) -> tuple[Event, Event]:
    """An event between two people, and the same with their roles exchanged; both belong to the split."""
    while True:
        e = event(rng, split, kind="person", agent=cast(rng, 1)[0], detail=detail)
        exchanged = e._replace(agent=e.patient, patient=e.agent)
        if belongs(exchanged, split):
            return e, exchanged


def pawsx(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """Two sentences with nearly the same words, and whether they say the same."""
    e, swapped = two_people(rng, split, detail=1.0)
    label, other = rng.randrange(2), e
    if not label:
        other = swapped if rng.random() < 0.5 else _differ(rng, e, split)._replace(place=e.place, time=e.time)
    first, second = rng.sample(("", "time", "place"), 2)
    return {
        "sentence1": tell.say(e, fronted=first),
        "sentence2": tell.say(other, fronted=second),
        "label": str(label),
    }


def parts_of(e: Event) -> list[str]:
    """The parts of an event that a question can ask for."""
    return [part for part in ("agent", "patient", "place") if getattr(e, part)]


def squad1(rng: Dice, split: str, tell: Teller, i: int, answerable: bool = True) -> dict:
    """A question about one of three sentences, with its answer in them, or none if not `answerable`."""
    events = world.story(rng, split, 3, detail=0.3)
    e = rng.choice(events)
    ask = rng.choice(parts_of(e))
    while not answerable and (e.verb in {x.verb for x in events} or (ask == "patient" and not e.patient)):
        # the same people, but this did not happen
        e = event(rng, split, agent=rng.choice(events).agent, detail=1.0)
    row = asked(events, e, ask, tell, i)
    return {"id": row["id"], "title": "micro"} | row


def asked(events: list[Event], e: Event, ask: str, tell: Teller, i: int) -> dict:
    """A row that asks for a part of `e`; the answer is where `events` has `e` itself, or nowhere."""
    tokens = [
        token if x is e else token._replace(part="") for x in events for token in ended(clause(tell.code, x))
    ]
    words, inside = tell.list(tokens), [k for k, token in enumerate(tokens) if token.part == ask]
    context, starts = " ".join(words), [len(" ".join([*words[:k], ""])) for k in inside[:1]]
    answers = {"text": [" ".join(words[k] for k in inside)] if inside else [], "answer_start": starts}
    question = tell.say(e._replace(time="", place=e.place if ask == "place" else None), ask)
    name = f"{tell.code}-{crc32(context.encode()):08x}-{i}"
    return {"id": name, "context": context, "question": question, "answers": answers}


def squad2(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """The same as `squad1`, but half of the questions have no answer."""
    return squad1(rng, split, tell, i, rng.random() < 0.5)


def xquad(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """The same as `squad1`, without a title."""
    return {key: value for key, value in squad1(rng, split, tell, i).items() if key != "title"}


def _endings(rng: Dice, split: str) -> tuple[list[Event], list[Event], int]:
    """The events of a script, four candidate last events by the same characters, and the index of the
    script's own.
    """
    endings: list[Event] = []
    while len(endings) < 3:
        scripts, people = rng.sample(SCRIPTS, len(SCRIPTS)), cast(rng, 2)
        script_events = world.play(rng, scripts[0], people)
        if all(belongs(e, split) for e in script_events):
            endings = [last for x in scripts[1:] if belongs(last := world.play(rng, x, people)[2], split)][:3]
    gold = rng.randrange(4)
    endings.insert(gold, script_events[2])
    return script_events, [e._replace(place=None) for e in endings], gold


def hellaswag(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """The first two events of a script, and four last events, one of which is the script's own."""
    script_events, endings, gold = _endings(rng, split)
    context, ends = tell.story(script_events[:2]), [tell.say(e) for e in endings]
    row = {"ind": i, "activity_label": "", "ctx_a": context, "ctx_b": "", "ctx": context, "endings": ends}
    return row | {"source_id": f"micro~{i}", "split": split, "split_type": "indomain", "label": str(gold)}


def _options(rng: Dice, verb: str, kind: str, n: int, gold: int) -> list[str]:
    """`n` different places (or roles), with the one that the verb is known for at position `gold`."""
    right = getattr(VERBS[verb], kind)
    wrong = rng.sample([concept for concept in CLASSES[kind] if concept != right], n - 1)
    return [*wrong[:gold], right, *wrong[gold:]]


def cosmosqa(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A story, a question about where it was or what happens next, and four answers."""
    if rng.random() < 0.5:  # what happens next?
        script_events, endings, gold = _endings(rng, split)
        events, answers = script_events[:2], [tell.say(e) for e in endings]
        question = tell.say(Event("do", script_events[2].agent, Thing("it"), time="next"), "patient")
    else:  # where was it? The passage does not say; the world knows
        e = event(rng, split, verbs=HAVING["place"], agent=cast(rng, 1)[0], detail=0)
        others = world.story(rng, split, 2, detail=0.3, scripts=0)
        events = [e, *(x._replace(place=None) for x in others if x.verb != e.verb)]
        rng.shuffle(events)
        gold = rng.randrange(4)
        answers = [
            tell.text(ended(phrase(tell.code, Thing(x)))) for x in _options(rng, e.verb, "place", 4, gold)
        ]
        question = tell.say(e, "place")
    row = {"id": f"micro-{i}", "context": tell.story(events), "question": question}
    return row | {f"answer{k}": answer for k, answer in enumerate(answers)} | {"label": gold}


def csqa(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A question that only knowledge of the world can answer, and five choices."""
    kind, ask = rng.choice((("place", "place"), ("role", "agent"), ("patients", "patient")))
    e = event(rng, split, verbs=HAVING[kind], agent=cast(rng, 1)[0], detail=0)
    gold = rng.randrange(5)
    if kind == "patients":
        kinds = {"animal", "food", "text", "instrument", "object", "place", "town"} - set(
            VERBS[e.verb].patients.split()
        )
        options = [world.thing(rng, k, 0).head for k in rng.sample(sorted(kinds), 4)]
        options.insert(gold, e.patient.head)
    else:
        # draw again for places: without this draw, all later random choices would differ
        gold = gold if kind == "role" else rng.randrange(5)
        options = _options(rng, e.verb, kind, 5, gold)
    texts = [tell.text(phrase(tell.code, Thing(option))) for option in options]
    row = {"id": f"micro-{i}", "question": tell.say(e, ask), "question_concept": tell.words[e.verb]}
    return row | {"choices": {"label": list("ABCDE"), "text": texts}, "answerKey": "ABCDE"[gold]}


def prefer(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A story with a question about it, and two replies: what the story says, and what it does not speak of.

    The former is preferred, but in one pair of ten the latter: people do not agree either.
    """
    events = world.story(rng, split, 2, detail=0.3)
    e = rng.choice(events)
    replies = [tell.say(e), tell.say(event(rng, split))]
    if rng.random() < DISAGREE:
        replies.reverse()
    ask = rng.choice(parts_of(e))
    prompt = f"{tell.story(events)} {tell.say(e, ask)}"
    return {"prompt": prompt, "chosen": replies[0], "rejected": replies[1]}


def scenes(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A sentence, its scene, and the scene of another event, which is another in every language."""
    e = event(rng, split)
    unrelated = Dice(f"scenes {split} {tell.code} {i}")
    other = shown(unrelated, event(unrelated, split), split)
    return {"caption": tell.say(e), "scene": shown(rng, e, split), "other": other}


def shown(rng: Dice, e: Event, split: str) -> list[str]:
    """The attributes of an event's scene: what is done, by whom, to what and where, with their properties.

    A part may be missed, and one of another event may be seen. The time is not seen.
    """
    seen = [part for part in depicted(e) if rng.random() >= MISSED]
    wrong = [rng.choice(depicted(event(rng, split)))] if rng.random() < MISSED else []
    return sorted({*seen, *wrong})


def depicted(e: Event) -> list[str]:
    """Every attribute of an event's scene, as "role: concept"."""
    things = {"agent": e.agent, "patient": e.patient, "place": e.place}
    parts = {f"{role}: {x.head}": x.adjective for role, x in things.items() if x}
    return [
        f"verb: {e.verb}",
        *parts,
        *(f"{role}: {adjective}" for role, adjective in parts.items() if adjective),
    ]


def _sentence(rng: Dice, split: str, code: str, names: float = 0.0) -> Tokens:
    """One sentence of a random form.

    `names`: the chance that a named agent is an organisation or also has a family name.
    """
    e = event(rng, split)._replace(negated=rng.random() < 0.1)
    if CLASS_OF[e.agent.head] == "person" and rng.random() < names:
        family = Thing(e.agent.head, family=pick(rng, CLASSES["family"]))
        other = e._replace(agent=family if rng.random() < 0.5 else world.thing(rng, "guild"))
        e = other if belongs(other, split) else e
    if e.kind not in ("", "person", "role") and rng.random() < 0.1:
        e = e._replace(patient=e.patient._replace(adjective="two"))
    form, quality = (
        rng.random(),
        Event("is", e.agent._replace(adjective=""), Thing(pick(rng, CLASSES["adjective"]))),
    )
    if form < 0.1 and belongs(quality, split):
        return ended(clause(code, quality))
    if form < 0.2:
        return ended(reported(code, cast(rng, 1)[0], e))
    if form < 0.35:
        second = Event(rng.choice([v for v in VERBS if not VERBS[v].patients]), Thing("it"))
        return ended((*clause(code, e), Token("and", "CCONJ", "conj"), *clause(code, second)))
    if form < 0.45 and e.patient:
        return ended(clause(code, e, rng.choice(("agent", "patient"))), "?")
    return ended(clause(code, e, fronted=rng.choice(("", "", "time", "place"))))


def ccg(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A sentence with the supertag of each word."""
    tokens = _sentence(rng, split, tell.code)
    return {"tokens": tell.list(tokens), "supertags": [token.supertag for token in tokens]}


def udpos(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A sentence with the part of speech of each word."""
    tokens = _sentence(rng, split, tell.code)
    return {"tokens": tell.list(tokens), "pos_tags": [UPOS.index(token.upos) for token in tokens]}


def panx(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A sentence with the entity tag of each word."""
    tokens = _sentence(rng, split, tell.code, names=0.6)
    return {
        "tokens": tell.list(tokens),
        "ner_tags": [IOB2.index(token.entity) for token in tokens],
        "langs": [tell.code] * len(tokens),
    }


def tatoeba(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A sentence and the same sentence in the pivot language."""
    e = event(rng, split, detail=0.8)
    return {
        "source_sentence": tell.say(e),
        "target_sentence": tell.into("en").say(e),
        "source_lang": tell.code,
        "target_lang": "en",
    }


def _mined(lang: str, side: str, number: int) -> str:
    """The id of the sentence of gold pair `number` on one side; gold sentences and distractors are
    interleaved.
    """
    step = round(1 / BUCC_GOLD)
    at = number * step + crc32(f"{side}{lang}{number}".encode()) % step + 1
    return f"{'en' if side == 'target' else lang}-{at:09d}"


def bucc(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A gold pair of the pools, with the ids that its sentences have there."""
    return tatoeba(rng, split, tell, i) | {
        f"{side}_lang": _mined(tell.code, side, i) for side in ("source", "target")
    }


def bucc_pool(side: str, lang: str, n: int, seed: int) -> list[dict]:
    """`n` sentences of one side ("source" = lang, "target" = en) of a comparable corpus.

    Every third has a translation (row k of "bucc", "validation"). The others look alike: new events, or a
    gold event with one part exchanged.
    """
    tell, out = Teller("en" if side == "target" else lang), []
    for index in range(n):
        number = index // round(1 / BUCC_GOLD)
        chosen = event(Dice(f"bucc validation {lang} {seed} {number}"), "validation", detail=0.8)
        name = f"{tell.code}-{index + 1:09d}"
        if name != _mined(lang, side, number):
            rng = Dice(f"{side} {lang} {index} {seed}")
            chosen = (
                _differ(rng, chosen, "validation")
                if rng.random() < 0.5
                else event(rng, "validation", detail=0.8)
            )
        out.append({"id": name, "sentence": tell.say(chosen)})
    return out


def mlm(rng: Dice, split: str, tell: Teller, i: int) -> dict:
    """A page of three to five sentences, some of which may be taken up again.

    A declared share of the pages has two or three sentences in two languages.
    """
    code, partner = tell.code, ""
    if rng.random() < LANGUAGES[code].bilingual:
        partner = (
            "en" if code != "en" and rng.random() < 0.7 else rng.choice([c for c in LANGUAGES if c != code])
        )
    tellers = [tell, Teller(partner)] if partner else [tell]
    rng.shuffle(tellers)
    events = _page(rng, split, rng.choice((2, 3) if partner else (3, 4, 5)))
    sentences = [
        teller.say(e) if isinstance(e, Event) else teller.text(e(teller.code))
        for e in events
        for teller in tellers
    ]
    plain = [e for e in events if isinstance(e, Event) and not e.negated]
    if not partner and rng.random() < 0.5:
        sentences += [_again(rng, tell, e) for e in rng.sample(plain, min(2, len(plain)))]
    return {"text": " ".join(sentences), "source": "-".join(["micro", code, *filter(None, [partner])])}


def _again(rng: Dice, tell: Teller, e: Event) -> str:
    """An event taken up again: asked about and answered, or with its time or place at the beginning."""
    if rng.random() < 0.3:
        return tell.say(e, fronted=rng.choice(("time", "place")))
    ask = rng.choice(parts_of(e))
    return f"{tell.say(e._replace(time=''), ask)} {tell.text(ended(phrase(tell.code, getattr(e, ask))))}"


def _page(rng: Dice, split: str, n: int) -> list:
    """A story with some changed events.

    A thing may be replaced by its kind, an event may be negated (and its opposite said), or a sentence may
    have another form. Such a sentence is a function of the language, and says the same in each language.
    """
    events = world.story(rng, split, n, scripts=0.6)
    for k, e in enumerate(events):
        dice = rng.random()
        if dice < 0.2:
            seed = rng.random()
            events[k] = lambda code, seed=seed: _sentence(Dice(seed), split, code, names=0.3)
        elif dice < 0.4 and e.kind in HYPERNYM:
            events[k] = e._replace(patient=Thing(HYPERNYM[e.kind]))
        elif dice < 0.6 and e.verb in OPPOSITE:
            events[k : k + 2] = [e._replace(negated=True), e._replace(verb=OPPOSITE[e.verb])][: n - k]
            break
        elif dice < 0.65:
            events[k] = e._replace(negated=True)
    return events
