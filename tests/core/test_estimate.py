"""The forecast against what a collection really does: operations, bytes kept, bytes written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import Olmo2Config, Olmo2ForCausalLM, PreTrainedModel

from core import sums
from core.basis import bases, save_bases
from core.causal import require_causal
from core.errors import HillshadeError
from core.estimate import PROGRAM, START, batch_of, estimate, passes
from core.factors import Factors, collect
from core.forecast import Forecast, Work
from core.images import Images
from core.machine import EIGEN_FLOPS, Speed
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
    # (BLAS makes the sums, which the counter does not see: only the passes are counted.)
    real = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:  # before: one image to see its positions,
        if of_images:
            assert positions_of(model, images(1)[0]) == width
        else:  # two short texts to see that no position looks to the right
            require_causal(model)
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
    assert found.flops["factor sums"] == CONTEXT * WINDOWS * (2 * 12 * 13 + 3 * 20 * 21)
    assert found.flops["eigendecompositions"] == EIGEN_FLOPS * (2 * 12**3 + 3 * 20**3)
    one = forecast(tiny("olmo2"), [2], models=1, asked=CONTEXT).flops["edited models"]
    assert found.flops["edited models"] == 10 * one > 10 * 3 * 2 * 12 * 20 * 32
    solve = found.flops["eigendecompositions"] / SPEED.eigen
    rest = (sum(found.flops.values()) - solve * SPEED.eigen) / SPEED.products
    assert found.seconds[0] == pytest.approx(START + solve + rest)
    assert found.seconds[1] > found.seconds[0]
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()


def test_a_seven_billion_model_is_known_from_its_config_alone(tmp_path: Path) -> None:
    """OLMo-2 7B: 7.3e9 weights, about 28 GFLOP a token, 53 GB of sums or 51 with shared A."""
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
    assert found.flops["factor sums"] / work.tokens == pytest.approx(13.25e9, rel=0.05)
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


@pytest.mark.parametrize("size", [5, 8, 21])
def test_operations_of_a_sum_are_those_of_its_products(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the processor one triangle; elsewhere panels, the last of which may be narrow."""
    monkeypatch.setattr(sums, "_PANEL", 8)
    rows = torch.randn(7, size)

    class Products(TorchDispatchMode):
        """Counts those made in place, which FlopCounterMode does not."""

        operations = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func is torch.ops.aten.addmm_.default:
                self.operations += 2 * args[1].shape[1] * args[0].numel()
            return func(*args, **(kwargs or {}))

    with Products() as products:
        sums._add_by_panels(torch.zeros(size, size), rows)
    assert products.operations == 7 * sums.operations(size, torch.device("cuda"))
    cells = sum(1 for i in range(size) for j in range(size) if i <= j)
    assert sums.operations(size, torch.device("cpu")) == 2 * cells


def allocated(work: Callable[[], object]) -> int:
    """Most bytes that `work` has from PyTorch's allocator at one time."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as watched:
        work()
    assert watched.profiler is not None
    events = [e for e in watched.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(held))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_what_reading_and_decomposing_allocate(dtype: torch.dtype) -> None:
    config = Olmo2Config(
        vocab_size=400, hidden_size=48, intermediate_size=128, num_hidden_layers=3,
        num_attention_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    model = Olmo2ForCausalLM(config).eval().requires_grad_(False)
    texts = [[(7 * i + 3 * n) % 400 for i in range(64)] for n in range(32)]
    projections = find_projections(model)
    made: list[Factors] = []
    read = allocated(
        lambda: made.append(
            collect(
                model, texts, projections, batch_size=32,
                dtype=None if dtype == torch.float32 else dtype,
            )
        )
    )  # fmt: skip
    solved = allocated(lambda: bases(made[0], projections))
    weightless: Any = model
    skeleton = weightless.to("meta").to(dtype)  # as `load_skeleton` makes it
    memory = estimate(skeleton, projections, Work(64 * 32, 64, 0, 0), SPEED).memory
    assert read == pytest.approx(
        memory["weights rounded"]
        + memory["activations of a batch"]
        + memory["logits of a chunk"]
        + memory["sums of a pass"],
        rel=0.1,
    )
    assert solved == pytest.approx(memory["eigenvectors"] + memory["a decomposition"], rel=0.03)


def test_every_pass_is_counted() -> None:
    model: Any = tiny("olmo2", torch.float32)
    projections = chosen(model, [0, 1, 2])
    skeleton = model.to("meta").requires_grad_(False)
    groups = [chosen(skeleton, layers) for layers in ([2], [0, 1])]
    work = Work(CONTEXT * WINDOWS, CONTEXT, 2, CONTEXT)

    def told(*options: Any) -> Forecast:
        return estimate(skeleton, projections, work, SPEED, *options)

    one, two, cuda = told(), told(groups), told(groups, torch.device("cuda"))
    alone = [estimate(skeleton, group, work, SPEED) for group in groups]
    assert two.flops["reading"] == sum(each.flops["reading"] for each in alone)
    assert two.flops["reading"] > 1.4 * one.flops["reading"]
    assert two.flops["factor sums"] == one.flops["factor sums"]
    assert one.passes == ((0, 1, 2),) and two.passes == ((2,), (0, 1))
    layer = 4 * (2 * 12**2 + 3 * 20**2)
    assert two.memory["sums of a pass"] == 2 * layer < one.memory["sums of a pass"] == 3 * layer
    assert two.checkpoint == 5 * layer < one.checkpoint == 6 * layer
    said = dict(two.lines(Path()))
    assert said["passes"] == "2 over the text, at most 2 layers in one, 6 windows a batch"
    assert dict(one.lines(Path()))["passes"].startswith("1 over the text, all 3 layers in one")
    assert one.on_device == two.on_device == 0 < cuda.on_device
    parts = cuda.memory
    assert cuda.peak == PROGRAM + max(
        parts["weights"], sum(parts[n] for n in ("factor sums", "eigenvectors", "a decomposition"))
    )
    assert "of the device" in dict(cuda.lines(Path()))["memory"]
