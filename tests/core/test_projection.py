"""Every family's MLP weights are found as p x q maps; anything else is refused by name."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import T5Config, T5ForConditionalGeneration

from core.errors import HillshadeError, UnsupportedModelError
from core.projection import find_projections, matrix_digest, select, weight_digest
from tests.tiny import FAMILIES, tiny


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        ("olmo2", {"gate": (20, 12), "up": (20, 12), "down": (12, 20)}),
        ("gpt2", {"up": (48, 12), "down": (12, 48)}),
        ("opt", {"up": (20, 12), "down": (12, 20)}),
        ("neox", {"up": (20, 16), "down": (16, 20)}),
    ],
)
def test_finds_each_layers_maps_with_y_equal_to_w_a(
    family: str, shapes: dict[str, tuple[int, int]]
) -> None:
    model = tiny(family)
    found = find_projections(model)
    layers = model.config.num_hidden_layers
    assert [(p.layer, p.kind, p.shape) for p in found] == [
        (layer, kind, shape) for layer in range(layers) for kind, shape in shapes.items()
    ]
    for p in found:
        module, weight = model.get_submodule(p.name), p.weight(model)
        a = torch.randn(3, p.in_features, dtype=torch.float64)
        bias = module(torch.zeros_like(a))
        assert torch.allclose(module(a), a @ weight.T + bias)
        assert weight.data_ptr() == model.get_parameter(f"{p.name}.weight").data_ptr()
        assert p.name.startswith(p.block)
    readers = {p.input_key for p in found}
    assert len(readers) == 2 * layers  # gate and up read one tensor


def test_attention_is_never_taken_for_an_mlp() -> None:
    """Heads wider than hidden/heads make q, k, v and o look like widening and narrowing maps."""
    config = FAMILIES["olmo2"]().config
    config.head_dim = 10
    model = type(FAMILIES["olmo2"]())(config)
    assert all(".mlp." in p.name for p in find_projections(model))


def test_select_by_layer_and_kind() -> None:
    found = find_projections(tiny("olmo2"))
    assert select(found) == found
    assert [p.name for p in select(found, [2], ["up"])] == ["model.layers.2.mlp.up_proj"]
    for layers, kinds in (([3], None), (None, ["sideways"]), ([], None)):
        with pytest.raises(HillshadeError, match=r"choose (among|at least)"):
            select(found, layers, kinds)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (
            lambda: T5ForConditionalGeneration(
                T5Config(vocab_size=23, d_model=12, d_kv=6, d_ff=20, num_layers=1, num_heads=2)
            ),
            r"encoder\.block, decoder\.block",
        ),
        (lambda: nn.Sequential(nn.Linear(3, 4)), "Sequential"),
    ],
    ids=["encoder-decoder", "no-blocks"],
)
def test_unknown_builds_are_refused_by_name(make: Callable[[], nn.Module], named: str) -> None:
    with pytest.raises(UnsupportedModelError, match=named):
        find_projections(make())


def test_a_shared_weight_is_refused() -> None:
    model = tiny("olmo2")
    first, second = (model.get_submodule(f"model.layers.{n}.mlp.up_proj") for n in (0, 1))
    second.weight = first.weight
    with pytest.raises(UnsupportedModelError, match=r"layers\.0.* and .*layers\.1"):
        find_projections(model)


def test_a_projection_of_another_model_is_refused() -> None:
    for foreign in (tiny("gpt2"), tiny("neox")):
        with pytest.raises(UnsupportedModelError, match="20x12"):
            find_projections(tiny("olmo2"))[0].weight(foreign)
    stored_otherwise = replace(find_projections(foreign)[0], transposed=True)
    with pytest.raises(UnsupportedModelError, match="20x16"):
        stored_otherwise.weight(foreign)


def test_weight_digest_is_the_models_identity(tmp_path: Path) -> None:
    model = tiny("olmo2", torch.float32)
    digest = weight_digest(model)
    model.save_pretrained(tmp_path)
    assert weight_digest(type(model).from_pretrained(tmp_path)) == digest
    assert weight_digest(tiny("olmo2", torch.bfloat16)) != digest
    norm = model.get_parameter("model.norm.weight")
    with torch.no_grad():
        norm[0] = torch.nextafter(norm[0], torch.tensor(9.0))
    assert weight_digest(model) != digest


def test_matrix_digest_is_of_values_not_of_storage() -> None:
    w = torch.randn(4, 6).bfloat16()
    assert matrix_digest(w) == matrix_digest(w.float()) == matrix_digest(w.T.contiguous().T)
    assert matrix_digest(w) != matrix_digest(w.reshape(6, 4))
    wide = w.double()
    assert matrix_digest(wide) == matrix_digest(wide.clone())
    assert matrix_digest(wide) != matrix_digest(wide * (1 + 1e-12))  # float32 would not tell them
    known = hashlib.sha256(b"(4, 6)\n" + w.float().numpy().tobytes()).hexdigest()
    assert matrix_digest(w) == known  # stored studies carry it
