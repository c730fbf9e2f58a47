"""The forecast against what a collection really does: operations, bytes kept, bytes written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from core.basis import bases, save_bases
from core.errors import HillshadeError
from core.estimate import EIGEN_FLOPS, Forecast, Speed, Work, batch_of, estimate, passes
from core.factors import collect
from core.images import Images
from core.model import load_skeleton
from core.projection import Projection, find_projections, select
from core.samples import positions_of
from tests.tiny import tiny
from tests.vision import POSITIONS, classifier, images

SPEED = Speed("a test", products=1e9, eigen=1e8)
CONTEXT, WINDOWS = 24, 6


def forecast(model: PreTrainedModel, layers: list[int], **changes: Any) -> Forecast:
    work = Work(tokens=CONTEXT * WINDOWS, context=CONTEXT, models=0, asked=0)
    weightless: Any = model  # its .to is typed as if it took no device
    return estimate(
        weightless.to("meta").requires_grad_(False),
        chosen(model, layers),
        dataclasses.replace(work, **changes),
        SPEED,
    )


def chosen(model: PreTrainedModel, layers: list[int]) -> tuple[Projection, ...]:
    return select(find_projections(model), layers)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("family", ["olmo2", "gpt2", "vit", "beit"])
def test_operations_and_bytes_are_those_of_the_real_pass(family: str, first: int) -> None:
    of_images = family in ("vit", "beit")
    model = classifier(family, torch.float32) if of_images else tiny(family, torch.float32)
    model.config._attn_implementation = "eager"  # every product is one the counter knows
    layers = list(range(first, model.config.num_hidden_layers))
    texts = [[(7 * i + 3 * n) % 23 for i in range(CONTEXT)] for n in range(WINDOWS)]
    data = Images(images(WINDOWS), "all") if of_images else texts
    width = POSITIONS if of_images else CONTEXT
    kept: dict[int, torch.Tensor] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        square = tuple(tensor.shape[-2:]) == (width, width)
        if storage.data_ptr() not in weights and tensor.is_floating_point() and not square:
            kept[storage.data_ptr()] = tensor
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        collect(model, data, chosen(model, layers), batch_size=WINDOWS)
    # (The sums are made in place, which the counter does not know: only the passes are counted.)
    real = counter.get_total_flops()
    if of_images:  # one image was run alone before, to see its positions
        with FlopCounterMode(display=False) as counter:
            assert positions_of(model, images(1)[0]) == width
        real -= counter.get_total_flops()
    bytes_ = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    size: dict[str, Any] = {"tokens": width * WINDOWS, "context": width}
    found = forecast(model, layers, **size, image=(1, 8, 8) if of_images else None)
    assert found.flops["reading"] == pytest.approx(real, rel=0.03)
    assert found.memory["activations of a batch"] == pytest.approx(bytes_, rel=0.35)


def test_disk_is_what_is_written(tmp_path: Path) -> None:
    model = tiny("olmo2", torch.float32)
    projections = chosen(model, [1, 2])
    factors = collect(model, [[1, 2, 3, 4]], projections)
    factors.save(tmp_path / "factors.safetensors")
    save_bases(tmp_path / "basis.safetensors", bases(factors, projections))
    disk = forecast(model, [1, 2]).disk
    for name in ("factors.safetensors", "basis.safetensors"):
        written = (tmp_path / name).stat().st_size
        header = int.from_bytes((tmp_path / name).read_bytes()[:8], "little") + 8
        assert written - header == disk[name]


def test_sums_and_decompositions_are_counted_once_for_what_is_shared() -> None:
    """Gate and up share one input: d = 12 once, 20 three times (two outputs, one input), 12."""
    found = forecast(tiny("olmo2"), [2], models=10, asked=CONTEXT)
    assert found.memory["factor sums"] == 4 * (2 * 12**2 + 3 * 20**2)
    assert found.flops["factor sums"] == 2 * CONTEXT * WINDOWS * (2 * 12**2 + 3 * 20**2)
    assert found.flops["eigendecompositions"] == EIGEN_FLOPS * (2 * 12**3 + 3 * 20**3)
    one = forecast(tiny("olmo2"), [2], models=1, asked=CONTEXT).flops["edited models"]
    assert found.flops["edited models"] == 10 * one > 10 * 3 * 2 * 12 * 20 * 32
    solve = found.flops["eigendecompositions"] / SPEED.eigen
    rest = (sum(found.flops.values()) - solve * SPEED.eigen) / SPEED.products
    assert found.seconds[0] == pytest.approx(solve + rest)
    assert found.seconds[1] > found.seconds[0]
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()


def test_a_seven_billion_model_is_known_from_its_config_alone(tmp_path: Path) -> None:
    """OLMo-2 7B: 7.3e9 weights, about 28 GFLOP a token, 53 GB of sums or 51 with shared A."""
    from transformers import Olmo2Config

    config = Olmo2Config(
        vocab_size=100352, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
        num_attention_heads=32, max_position_embeddings=4096, architectures=["Olmo2ForCausalLM"],
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    model = load_skeleton(tmp_path)
    work = Work(tokens=20_000_000, context=512, models=0, asked=0)
    found = estimate(model, find_projections(model), work, SPEED)
    assert found.parameters == pytest.approx(7.3e9, rel=0.01)
    assert found.flops["reading"] / work.tokens == pytest.approx(28e9, rel=0.05)
    assert found.memory["factor sums"] == pytest.approx(51e9, rel=0.02)
    assert found.flops["factor sums"] / work.tokens == pytest.approx(26.5e9, rel=0.05)
    assert batch_of(model, 512) == 5


def test_all_layers_in_one_pass_where_they_fit_else_as_many_as_fit() -> None:
    model: Any = tiny("olmo2", torch.float32)
    projections = chosen(model, [0, 1, 2])
    skeleton = model.to("meta").requires_grad_(False)
    layer = 4 * (2 * 12**2 + 3 * 20**2)
    memory = forecast(tiny("olmo2", torch.float32), [0, 1, 2], tokens=32 * CONTEXT).memory
    batch = memory["activations of a batch"] + memory["logits of a chunk"]
    for room, layers in (
        (3 * layer, [[2, 1, 0]]),
        (3 * layer - 1, [[2, 1], [0]]),
        (layer, [[2], [1], [0]]),
    ):
        groups = passes(skeleton, projections, CONTEXT, batch + room)
        assert [list(dict.fromkeys(p.layer for p in group)) for group in groups] == layers
        assert sorted(p.name for group in groups for p in group) == sorted(
            p.name for p in projections
        )
    with pytest.raises(HillshadeError, match="Layer 2 needs"):
        passes(skeleton, projections, CONTEXT, batch + layer - 1)
