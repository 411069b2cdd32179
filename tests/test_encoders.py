"""Encoders from elsewhere run the study: of five families, as transformers writes them, and in four bits."""

import json
import shutil
import struct
import unicodedata
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertModel,
    DebertaV2Config,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from xit_core import cli, phases
from xit_core.data import reading
from xit_core.design import encoders, scales
from xit_core.design.encoders import QUANTISED, Encoder, weights_hash
from xit_core.design.run import Run
from xit_core.design.scales import SCALES, Scale
from xit_core.design.tasks import TASKS
from xit_core.ledger import results
from xit_core.machine import files
from xit_core.machine.errors import Bad
from xit_core.model import families, origins, own, packed, quantised
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
    start = ["--scale", "smoke", "--model", str(folder)]
    assert cli.main(["plan", *start]) == 0 and "0 of" in capsys.readouterr().out
    assert cli.main(["study", *start, "--direct"]) == 0
    name = capsys.readouterr().err.split()[1]
    rows = results.rows(name)
    assert len(rows) == len(cli_plan(capsys, name)) and {row["scale"] for row in rows} == {name}
    of = {row["provenance"]["encoder"]["name"] for row in rows if not row["model"]}
    assert of == {folder.name} and str(folder) not in json.dumps(rows)


def cli_plan(capsys, name):
    assert cli.main(["plan", "--scale", name, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["runs"]


@pytest.mark.parametrize("name", ["org/name", "xlm-roberta-base"])
def test_a_pinned_name_is_asked_of_the_hub_with_an_owner_and_without(monkeypatch, name):
    asked = []
    monkeypatch.setattr(
        own, "configuration", lambda *name, **pin: asked.append((*name, pin)) or XLMRobertaConfig()
    )
    pinned = own.scale_from(SMOKE, f"{name}@{'ab' * 20}").encoder
    assert asked == [(name, {"revision": "ab" * 20})]
    assert (pinned.name, pinned.revision) == (name, "ab" * 20)


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


@pytest.fixture
def copied(folder, tmp_path):
    """copied(change) is a copy of the checkpoint with the weights that `change` makes of its own."""

    def make(change):
        place = Path(shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True))
        weights = load_file(folder / "model.safetensors")
        save_file(change(weights), place / "model.safetensors", {"format": "pt"})
        weights_hash.cache_clear()
        return place

    return make


def test_weights_of_half_precision_are_read_in_float32(copied, places):
    net = origins.start(own.scale_from(SMOKE, str(copied(lambda w: {k: v.bfloat16() for k, v in w.items()}))))
    assert {x.dtype for x in net.parameters()} == {torch.float32}
    with torch.inference_mode():
        states = list(net.states(packed.pack(features(net), torch.device("cpu"))))
    assert states[-1].dtype == torch.float32


def last_matrix(weights):
    return max(
        name for name, x in weights.items() if "layers.1." in name or "layer.1." in name if x.dim() > 1
    )


def test_an_encoder_that_is_not_whole_is_one_line_before_any_run(copied, places):
    def without(weights):
        return {k: v for k, v in weights.items() if k != last_matrix(weights)}

    def misshapen(weights):
        return weights | {last_matrix(weights): weights[last_matrix(weights)][:-1].clone()}

    def infinite(weights):
        return weights | {last_matrix(weights): weights[last_matrix(weights)] / 0}

    for change, said in ((without, "1 of its weights are missing"), (misshapen, "has the shape"),
                         (infinite, "not finite")):  # fmt: skip
        with pytest.raises(Bad, match=said) as bad:
            own.scale_from(SMOKE, str(copied(change)))
        assert "\n" not in str(bad.value)
    place = copied(dict)
    for file in place.glob("token*"):
        file.unlink()
    with pytest.raises(Bad, match="no tokenizer there|damaged .*; it must hold .* a tokenizer"):
        own.scale_from(SMOKE, str(place))
    assert not scales.known_own()


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


def test_what_a_scale_reduces_is_said_of_it_with_another_encoder_too():
    reduced = replace(SMOKE, note="a small encoder; capped rows")
    note = scales.with_encoder(reduced, SMOKE.encoder, "other").note
    assert note.endswith(", an encoder of the user's own; capped rows")


def test_a_folder_that_was_moved_is_named_anew(folder, places, tmp_path):
    place = tmp_path / folder.name
    shutil.copytree(folder, place)
    name = own.scale_from(SMOKE, str(place)).name
    place.rename(tmp_path / "moved")
    weights_hash.cache_clear()  # as in another process
    with pytest.raises(Bad, match="name it anew with --model"):
        origins.start(scales.scale_of(name))
    again = tmp_path / "elsewhere" / folder.name
    again.parent.mkdir()
    (tmp_path / "moved").rename(again)
    assert own.scale_from(SMOKE, str(again)).name == name
    assert origins.start(scales.scale_of(name)).encoder.config.num_hidden_layers == 2


def test_a_damaged_list_of_encoders_is_one_line(places):
    scales.own_file().parent.mkdir(parents=True, exist_ok=True)
    newer = {"smoke-x-1": {"scale": "smoke", "encoder": asdict(SMOKE.encoder) | {"colour": "red"}}}
    for content, said in (
        ("{", "encoders.json"), (json.dumps(NAMELESS), "no known scale; take it out"),
        (json.dumps(newer), "has 'colour', which this version does not know"),
    ):  # fmt: skip
        scales.own_file().write_text(content)
        with pytest.raises(Bad, match=said):
            scales.scale_of("no-such-scale")


PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁a", "b", "▁ab", "é", "～", "َ", "ّ", "<mask>"]
SCORES = [0, 0, 0, 0, -3, -2, -4, -2.5, -5, -6, -6, -6, 0]
HIDDEN, LAYERS, HEADS, INNER, POSITIONS, EXTRA = 32, 2, 2, 64, 40, 3


def four_bits(x):
    """A matrix in four bits, and what it is after that."""
    blocks = x.reshape(-1, 32)
    scales = (np.abs(blocks).max(1) / 7).astype("<f2")
    q = np.clip(np.round(blocks / scales.astype("f4")[:, None]) + 8, 0, 15).astype("u1")
    packed = b"".join(
        d.tobytes() + (row[:16] | row[16:] << 4).tobytes() for d, row in zip(scales, q, strict=True)
    )
    return packed, ((q.astype("f4") - 8) * scales.astype("f4")[:, None]).reshape(x.shape)


def bert():
    """A BERT of the size of the toy."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(PIECES) + EXTRA, hidden_size=HIDDEN, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, intermediate_size=INNER, max_position_embeddings=POSITIONS,
        layer_norm_eps=1e-12,
    )  # fmt: skip
    net = BertModel(config, add_pooling_layer=False).eval()
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    return net


NAMES = {
    "embeddings.word_embeddings.weight": "emb.word", "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type", "embeddings.LayerNorm.weight": "emb.ln.w",
    "embeddings.LayerNorm.bias": "emb.ln.b",
    **{
        f"encoder.layer.{i}.{module}.{kind}": f"l{i}.{name}.{kind[0]}"
        for i in range(LAYERS) for kind in ("weight", "bias")
        for module, name in {
            "attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v",
            "attention.output.dense": "ao", "attention.output.LayerNorm": "aln", "intermediate.dense": "fi",
            "output.dense": "fo", "output.LayerNorm": "oln",
        }.items()
    },
}  # fmt: skip


def toy(file):
    """Write a toy encoder; return the BERT with the weights that the file has."""
    net, directory, data = bert(), b"", b""
    text = "".join(PIECES).encode()
    bounds = np.cumsum([0, *(len(x.encode()) for x in PIECES)])
    characters = b"".join(
        struct.pack("<IBI", ord(x), 1, ord(unicodedata.normalize("NFKC", x))) for x in "ﾊａ"
    )
    head = b"E5S1" + struct.pack(
        "<I7ifi", 1, HIDDEN, LAYERS, HEADS, INNER, len(PIECES) + EXTRA, POSITIONS, 2, 1e-12, 32
    )
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(text)) + bounds.astype("<u4").tobytes()
    head += np.array(SCORES, "<f4").tobytes() + text + struct.pack("<iI", 2, len(characters)) + characters
    tensors = {name: x.detach() for name, x in net.named_parameters()}
    size = sum(2 + len(NAMES[name]) + 21 for name in tensors)
    for name, x in tensors.items():
        coarse = x.ndim == 2 and ("emb" not in NAMES[name] or NAMES[name] == "emb.word")
        content, kept = four_bits(x.numpy()) if coarse else (x.numpy().astype("<f4").tobytes(), x.numpy())
        x.copy_(torch.from_numpy(kept))
        place = len(head) + 4 + size + len(data)
        directory += struct.pack("<H", len(NAMES[name])) + NAMES[name].encode()
        directory += struct.pack("<BIQQ", int(coarse), x.numel(), place, len(content))
        data += content
    file.write_bytes(head + struct.pack("<i", len(tensors)) + directory + data)
    return net


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A scale whose encoder is a toy in the package "made"; its table is frozen."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made/__init__.py").write_text("raise AssertionError('the package is not to be run')")
    net = toy(tmp_path / "made/toy.bin")
    monkeypatch.syspath_prepend(str(tmp_path))
    of = encoders.quantised("made/toy.bin", files.sha256(tmp_path / "made/toy.bin"), LAYERS, HIDDEN)
    s = Scale("toy", SCALES["smoke"].world, of, frozen_table=True, max_len=24)
    monkeypatch.setitem(SCALES, "toy", s)
    return s, net


def test_states_are_those_of_the_bert_whose_weights_the_file_has(small):
    s, theirs = small
    net = origins.start(s)
    ids = torch.tensor([[0, 5, 6, 7, 8, 2]])
    with torch.inference_mode():
        expected = theirs(input_ids=ids).last_hidden_state
        ours = net.encoder.set_attn_implementation("sdpa") or net.encoder(input_ids=ids).last_hidden_state
    assert net.encoder.config.vocab_size == len(PIECES) and (ours - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ab", ["▁ab"]), ("  a\u200bb\t", ["▁a", "▁", "b", "▁"]), ("a\x07b", ["▁ab"]), ("\uff41b", ["▁ab"]),
        ("e\u0301", ["▁", "é"]), ("\uff5e", ["▁", "\uff5e"]), ("\u0651\u064e", ["▁", "\u0651", "\u064e"]),
        ("", []),
    ],
)  # fmt: skip
def test_text_is_cut_as_xlm_r_cuts_it(small, text, tokens):
    assert origins.tokenizer(small[0]).encode(text).tokens == ["<s>", *tokens, "</s>"]


def test_the_list_of_data_says_how_to_get_the_encoder(places, monkeypatch, capsys):
    of = encoders.quantised("nowhere_at_all/x.bin", "0" * 64, LAYERS, HIDDEN)
    monkeypatch.setitem(SCALES, "toy", replace(SCALES["smoke"], encoder=of))
    assert cli.main(["data", "--scale", "toy"]) == 0
    assert "no package nowhere_at_all is installed; `make encoder" in capsys.readouterr().err
    assert cli.main(["run", "pretrained", "--scale", "toy"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "`make encoder SCALE=small`" in err


def test_a_pair_has_xlm_r_s_template(small):
    assert origins.tokenizer(small[0]).encode("a", "b").ids == [0, 5, 2, 2, 4, 6, 2]


def test_a_checkpoint_is_without_the_frozen_table_and_read_with_it(small, places):
    s, _ = small
    run, net = Run("mnli", s), origins.start(s)
    table = net.encoder.get_input_embeddings().weight
    assert not table.requires_grad and not any(p is table for p in net.trained)
    with torch.no_grad():
        for weights in net.trained:
            weights.mul_(0.5)
    full.write(net, run.folder)
    layers = sum(p.numel() for p in net.trained)
    assert run.has_checkpoint and (run.folder / "model.safetensors").stat().st_size < 2 * layers + 8192
    again = full.read(run)
    assert not again.encoder.get_input_embeddings().weight.requires_grad
    for name, x in again.encoder.state_dict().items():
        assert torch.equal(
            x, net.encoder.state_dict()[name].half().float() if "word" not in name else table
        ), name


def test_what_is_not_the_declared_file_is_one_line(small, tmp_path, monkeypatch):
    s, _ = small
    file = tmp_path / "made/toy.bin"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(Bad, match=r"sha256 .*, declared is .*; install the version"):
        origins.start(s)
    absent = Encoder("nowhere_at_all/x.bin", QUANTISED, "0" * 64, 2, 32)
    with pytest.raises(Bad, match="no package nowhere_at_all is installed; `make encoder SCALE=small`"):
        absent.file  # noqa: B018
    for damaged, said in ((b"E5S2" + content[4:], "begins with"), (content[:300], "ends early")):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=said):
            quantised.encoder(file)
