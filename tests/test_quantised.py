"""Encoders in four bits: a small file in the format, written here by its description, is read as it says."""

import struct
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from xit_core import cli
from xit_core.design import encoders
from xit_core.design.encoders import QUANTISED, Encoder
from xit_core.design.run import Run
from xit_core.design.scales import SCALES, Scale
from xit_core.machine import files
from xit_core.machine.errors import Bad
from xit_core.model import origins, quantised
from xit_core.model.methods import full

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
