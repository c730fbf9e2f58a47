"""Every family: found by structure, collected, swept, edited, saved, and the same reloaded."""

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertLMHeadModel, PreTrainedModel
from typer.testing import CliRunner

from core.causal import require_causal
from core.cli import app
from core.curvature.examples import Example, example_rows
from core.direction import Direction, rank_one
from core.edit import Editor
from core.errors import HillshadeError, UnsupportedModelError
from core.export import save_model
from core.factors import collect
from core.model import load_model
from core.projection import Projection, find_projections, named, select
from core.replay import Replay, Step
from core.request import Request
from core.study import Study
from tests.core.test_replay import copied, read_one_by_one
from tests.families import EXPERTS, FAMILIES, made
from tests.study_factory import tiny_tokenizer
from tests.tiny import TEXTS, VOCABULARY

IDS = torch.tensor([TEXTS[0]])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_commands_make_an_edit_that_is_the_same_when_read_again(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """collect, sweep, edit, check, and the saved model in transformers: logits bit for bit."""
    model = made(family, torch.float32)
    projections = find_projections(model, attention=True)
    kinds = [p.kind for p in projections if p.layer == 0]
    assert " ".join(kinds) == FAMILIES[family].kinds
    places = [tmp_path / name for name in ("model", "texts.jsonl", "strings.jsonl")]
    save_model(model, tiny_tokenizer(), places[0])
    rng = random.Random(0)
    windows = [[rng.randrange(VOCABULARY) for _ in range(8)] for _ in range(12)]
    strings = [{"prefix_ids": w[:4], "suffix_ids": w[4:]} for w in windows[:4]]
    documents = [{"input_ids": window} for window in windows]
    for place, entries in zip(places[1:], (documents, strings), strict=True):
        place.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    monkeypatch.setattr("core.textdata.TextData.rises", ())  # their bisections take the longest
    source, texts, lines = map(str, places)
    study, saved, out = (str(tmp_path / name) for name in ("study", "edited", "sweep.json"))
    chosen = ["--layers", "1", "--kinds", ",".join(kinds)]
    for command in (
        ["collect", source, "--texts", texts, "--context", "8", *chosen, "--out", study],
        ["sweep", source, "--study", study, "--strings", lines, *chosen, "--masses", ".5",
         "--out", out],
        ["edit", study, "--mass", ".5", "--save", saved],
        ["check", study],
    ):  # fmt: skip
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    upper = select(projections, [1])
    changed = Editor(model, Study.open(study).bases("kfac"), upper, "kfac").at(0.5)[0]
    again = load_model(saved)
    with torch.no_grad():
        before, after, read = (m(IDS, use_cache=False).logits for m in (model, changed, again))
    assert torch.equal(read, after)
    assert (after - before).abs().max() > 1e-3
    (trial,) = json.loads(Path(out).read_text(encoding="utf-8"))["methods"][0]["trials"]
    assert trial["projections"] == [projection.name for projection in upper]


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_make_the_gradient_and_steps_the_losses_of_weight_copies(family: str) -> None:
    """Σ_t g_t a_tᵀ is the gradient of the summed loss, whatever stores W and whatever reads a."""
    model = made(family)
    projections = find_projections(model, attention=True)
    text = Example.of_text(TEXTS[0])
    (rows,) = example_rows(model, projections, [text], labels="gold")
    weights = [p.parameter(model) for p in projections]
    logits = model(IDS, use_cache=False).logits[0, :-1]
    loss = torch.nn.functional.cross_entropy(logits, IDS[0, 1:], reduction="sum")
    for p, stored in zip(projections, torch.autograd.grad(loss, weights), strict=True):
        slope = stored.T if p.transposed else stored
        product = rows.g[p.name].T @ rows.a[p.name]
        assert torch.allclose(product, slope, rtol=1e-5, atol=1e-7), p.name
    for one in select(projections, [1]):
        assert collect(model, [text.ids], [one]).count == len(text.counted)
        _compare(model, (one,), [(_direction(one), 0.7)])
    _compare(model, projections, [(_direction(p), 0.3) for p in projections])


def _direction(projection: Projection) -> Direction:
    rng = torch.Generator().manual_seed(1)
    sides = (torch.randn(size, generator=rng, dtype=torch.float64) for size in projection.shape)
    return rank_one(projection.name, *sides).unit()


def _compare(model: PreTrainedModel, chosen: tuple[Projection, ...], step: Step) -> None:
    loss, _ = read_one_by_one(copied(model, chosen, step), TEXTS)
    found = Replay(model, chosen, TEXTS).read([(), step]).loss
    assert found[1] == pytest.approx(loss, abs=1e-5)
    assert abs(found[1] - found[0]).max() > 1e-3


@pytest.mark.parametrize("family", EXPERTS)
def test_experts_are_refused_by_name(family: str) -> None:
    """Also where a shared expert beside them looks like the one MLP of the block."""
    with torch.device("meta"):
        model = made(family)
    with pytest.raises(UnsupportedModelError, match=r"layers\.\d\.\w+\.experts is a mixture"):
        find_projections(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_looks_to_the_right_is_refused(dtype: torch.dtype) -> None:
    """The same weights are read once their attention is masked, and nothing of the model moves."""
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=12, intermediate_size=20, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=32, is_decoder=True,
        initializer_range=0.3,  # or so little is attended to that few seeds move anything
    )  # fmt: skip
    causal: torch.nn.Module = BertLMHeadModel(config)
    causal.to(dtype)
    found = find_projections(causal)
    assert collect(causal, TEXTS, found).count == sum(map(len, TEXTS)) - len(TEXTS)
    assert causal.training
    config.is_decoder = False
    both_ways: torch.nn.Module = BertLMHeadModel(config)
    both_ways.to(dtype)
    both_ways.load_state_dict(causal.state_dict())
    with pytest.raises(UnsupportedModelError, match=r"is not causal: its logits move by"):
        collect(both_ways, TEXTS, found)
    require_causal(both_ways.to("meta"))  # has no weights to ask


def test_attention_that_cannot_be_read_is_refused_and_leaves_the_mlp() -> None:
    model = made("llama")
    layer = model.get_submodule("model.layers.0.self_attn")
    layer.add_module("gate_proj", torch.nn.Linear(12, 12))
    assert len(find_projections(model)) == 6
    assert [p.kind for p in named(model, ["model.layers.1.mlp.up_proj"])] == ["up"]
    with pytest.raises(UnsupportedModelError, match=r"model\.layers\.0 has no attention"):
        named(model, ["model.layers.0.self_attn.q_proj"])


def test_attention_is_asked_for_by_its_kinds_and_else_left_out() -> None:
    model, here = made("gpt_neox"), Path()
    asked = [Request("m", here, here, kinds=kinds) for kinds in (None, ("up", "qkv"))]
    assert [{p.kind for p in one.projections(model)} for one in asked] == [
        {"up", "down"},
        {"up", "qkv"},
    ]
    with pytest.raises(HillshadeError, match="no projection of kind 'q'"):
        Request("m", here, here, kinds=("q",)).projections(model)


def test_attention_of_half_as_many_keys_is_no_fused_mlp() -> None:
    """Its one map has the shape that gate and up would have: only the name tells."""
    model = made("phi3")
    config = model.config
    config.head_dim = 8
    config.num_attention_heads, config.num_key_value_heads = 4, 2
    wide = type(model)(config)
    kinds = [(p.name.split(".")[3], p.kind) for p in find_projections(wide, attention=True)]
    expected = [("mlp", "gate_up"), ("mlp", "down"), ("self_attn", "qkv"), ("self_attn", "o")]
    assert kinds[:4] == expected
