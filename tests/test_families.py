"""Encoders of five families, as transformers writes them, run the study: states, checkpoints, masks, rows."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)  # fmt: skip

from xit_core import cli, phases
from xit_core.data import reading
from xit_core.design import scales
from xit_core.design.encoders import weights_hash
from xit_core.design.run import Run
from xit_core.design.scales import SCALES
from xit_core.design.tasks import TASKS
from xit_core.ledger import results
from xit_core.machine.errors import Bad
from xit_core.model import families, origins, own, packed
from xit_core.model.kinds import encode, mlm
from xit_core.model.methods import full

SMOKE = SCALES["smoke"]
NAMELESS = {"gone-x-1": {"scale": "gone", "encoder": asdict(SMOKE.encoder)}}
SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 130,
}  # fmt: skip
CONFIGS = {
    "bert": BertConfig, "roberta": RobertaConfig, "xlm-roberta": XLMRobertaConfig,
    "deberta-v2": DebertaV2Config, "modernbert": ModernBertConfig,
}  # fmt: skip
# start, padding, end, unknown, mask
MARKS = {
    "bert": ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"),
    "roberta": ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
}
MARKS |= {"xlm-roberta": MARKS["roberta"], "deberta-v2": MARKS["bert"], "modernbert": MARKS["bert"]}


def pieces_of(name):
    """A tokenizer in the manner of a family, with the letters of the constructed languages."""
    start, padding, end, unknown, mask = MARKS[name]
    rows = reading.examples(TASKS["xnli"], "validation", "en", SMOKE)[0]
    letters = sorted({x for e in rows for x in e["a"] + e["b"] if x != " "})
    words = [start, padding, end, unknown, *letters, *(f"##{x}" for x in letters)]
    if name in ("roberta", "modernbert"):
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        made = Tokenizer(models.BPE({x: i for i, x in enumerate([*words[:4], *alphabet, mask])}, []))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    elif name == "bert":
        made = Tokenizer(models.WordPiece({x: i for i, x in enumerate([*words, mask])}, unk_token=unknown))
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        made = Tokenizer(models.Unigram([(x, -1.0) for x in [*words[:4], "▁", *letters, mask]], unk_id=3))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
    twice = f" {end}" * (name in ("roberta", "xlm-roberta"))
    made.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", pair=f"{start} $A {end}{twice} $B:1 {end}:1",
        special_tokens=[(x, made.token_to_id(x)) for x in (start, end)],
    )  # fmt: skip
    named = {"cls": start, "sep": end, "pad": padding, "unk": unknown, "mask": mask}
    named |= {"bos": start, "eos": end} if twice else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, **{f"{name}_token": token for name, token in named.items()}
    )


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request, tmp_path_factory):
    """A tiny checkpoint with random weights, as transformers writes one."""
    place = tmp_path_factory.mktemp("own") / f"Tiny {request.param}"
    pieces = pieces_of(request.param)
    numbers = {"pad_token_id": pieces.pad_token_id, "vocab_size": len(pieces)}
    ends = {"cls_token_id": 0, "sep_token_id": 2, "bos_token_id": 0, "eos_token_id": 2}
    more = {
        "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
        "modernbert": {"local_attention": 16, "global_attn_every_n_layers": 2, **ends},
    }
    torch.manual_seed(4)
    config = CONFIGS[request.param](**SHAPE, **numbers, **more.get(request.param, {}))
    config.save_pretrained(place)
    weights = AutoModelForMaskedLM.from_config(config).state_dict()
    tied = {name for name in weights if "decoder.weight" in name}
    weights = {k: v.clone() for k, v in weights.items() if k not in tied}
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    pieces.save_pretrained(place)
    return place


@pytest.fixture
def net(folder, places):
    return origins.start(own.scale_from(SMOKE, str(folder)))


def features(net):
    rows = reading.examples(TASKS["xnli"], "validation", "en", SMOKE, 6)[0]
    return encode(TASKS["xnli"], rows, net.tokenizer, SMOKE)


def test_states_are_those_that_transformers_gives_sequence_by_sequence(folder, net):
    theirs = AutoModel.from_pretrained(folder).eval()
    assert net.family is families.FAMILIES[theirs.config.model_type]
    net.eval()
    some = features(net)
    batch = packed.pack(some, torch.device("cpu"))
    types = families.types(theirs.config, batch)
    with torch.inference_mode():
        ours = list(net.states(batch))
        for k in range(len(some)):
            cut = slice(*batch["sequences"].cu[k : k + 2].tolist())
            given = {name: x[None, cut] for name, x in types.items()}
            found = theirs(torch.tensor([some[k]["ids"]]), output_hidden_states=True, **given)
            assert (ours[-1][cut] - found.last_hidden_state[0]).abs().max() < 1e-5
            assert (ours[0][cut] - found.hidden_states[0][0]).abs().max() < 1e-5
    assert len(ours) == 3


def test_the_second_text_of_a_pair_has_the_type_that_transformers_gives_it(folder, net):
    batch = packed.pack(features(net), torch.device("cpu"))
    pieces = PreTrainedTokenizerFast.from_pretrained(folder)
    rows = reading.examples(TASKS["xnli"], "validation", "en", SMOKE, 6)[0]
    theirs = [pieces(e["a"], e["b"], return_token_type_ids=True)["token_type_ids"] for e in rows]
    if folder.name.split()[-1] == "bert":
        assert families.types(net.encoder.config, batch)["token_type_ids"].tolist() == sum(theirs, [])
    else:
        assert not families.types(net.encoder.config, batch)


@pytest.mark.parametrize("method", ["adapter", "lora"])
def test_a_stage_trains_what_a_method_adds(net, folder, method):
    run = Run("mnli", own.scale_from(SMOKE, str(folder)), method=method)
    if method == "adapter" and net.encoder.config.model_type == "modernbert":
        with pytest.raises(Bad, match="no layer of modernbert ends in a norm; take 'full' or 'lora'"):
            phases.intermediate(run)
        return
    dose = phases.intermediate(run)["dose"]
    again = phases.reach(Run("mnli > tatoeba", run.scale, method=method)).encoder.state_dict()
    start = net.encoder.state_dict()
    changed = [name for name, x in start.items() if not torch.equal(x, again[name])]
    assert 0 < dose["trained"] < sum(x.numel() for x in start.values()) / 4
    assert bool(changed) == (method == "lora") and (len(again) > len(start)) == (method == "adapter")


def test_a_checkpoint_of_a_stage_is_read_again(net, folder):
    run = Run("mnli", own.scale_from(SMOKE, str(folder)))
    full.write(net, run.folder)
    again = full.read(run).encoder.state_dict()
    assert all(torch.equal(x, again[name]) for name, x in net.encoder.state_dict().items())


def test_masks_are_the_tokenizer_s_own(net, folder):
    *_, mask = MARKS[folder.name.split()[-1]]
    some, of = features(net), net.vocabulary
    assert net.tokenizer.id_to_token(of.mask) == mask and of.plain[0] > 3
    assert not set(range(*of.plain)) & set(of.special)
    before = np.concatenate([f["ids"] for f in some])
    after = np.concatenate([f["ids"] for f in mlm.hide(some, 0.5, of, np.random.default_rng(1))])
    special = np.isin(before, of.special)
    assert (after == of.mask).any() and (after == before)[special].all()


def test_the_whole_study_runs_from_it(folder, places, capsys):
    assert cli.main(["study", "--scale", "smoke", "--model", str(folder), "--direct"]) == 0
    name = capsys.readouterr().err.split()[1]
    rows = results.rows(name)
    assert len(rows) == len(cli_plan(capsys, name)) and {row["scale"] for row in rows} == {name}
    of = {row["provenance"]["encoder"]["name"] for row in rows if not row["model"]}
    assert of == {folder.name} and str(folder) not in json.dumps(rows)


def cli_plan(capsys, name):
    assert cli.main(["plan", "--scale", name, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["runs"]


def test_other_weights_under_the_name_are_refused(folder, places):
    s = own.scale_from(SMOKE, str(folder))
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        weights_hash.cache_clear()
        with pytest.raises(Bad, match="at first it was"):
            origins.start(s)
    finally:
        file.write_bytes(content)
        weights_hash.cache_clear()


@pytest.mark.parametrize(
    ("model", "said"),
    [("nowhere", "no such folder"), ("org/name@main", "no such folder"), ("", "it is empty")],
)
def test_wrong_encoders_are_one_line(model, said, places, capsys):
    assert cli.main(["study", "--scale", "smoke", "--model", model]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and said in err


def test_an_encoder_that_is_too_short_or_unknown_is_one_line(folder, places, tmp_path):
    told = json.loads((folder / "config.json").read_text())
    changes = {
        "tokens at most": {"max_position_embeddings": 40},
        "an encoder of type": {"model_type": "gpt2"},
    }
    for said, change in changes.items():
        (tmp_path / "config.json").write_text(json.dumps(told | change))
        (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        with pytest.raises(Bad, match=said):
            own.scale_from(SMOKE, str(tmp_path))


def test_a_folder_that_was_moved_is_named_anew(folder, places, tmp_path):
    place = tmp_path / folder.name
    shutil.copytree(folder, place)
    name = own.scale_from(SMOKE, str(place)).name
    place.rename(tmp_path / "moved")
    weights_hash.cache_clear()  # as in another process
    with pytest.raises(Bad, match="name it anew with --model"):
        origins.start(scales.scale(name))
    again = tmp_path / "elsewhere" / folder.name
    again.parent.mkdir()
    (tmp_path / "moved").rename(again)
    assert own.scale_from(SMOKE, str(again)).name == name
    assert origins.start(scales.scale(name)).encoder.config.num_hidden_layers == 2


def test_a_damaged_list_of_encoders_is_one_line(places):
    scales.own_file().parent.mkdir(parents=True, exist_ok=True)
    for content, said in (("{", "encoders.json"), (json.dumps(NAMELESS), "no known scale; take it out")):
        scales.own_file().write_text(content)
        with pytest.raises(Bad, match=said):
            scales.scale("no-such-scale")
