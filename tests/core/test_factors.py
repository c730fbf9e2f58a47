"""A and G equal a plain loop, whatever the batches, and collecting leaves no trace."""

import random
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers.models.olmo2.modeling_olmo2 import Olmo2MLP

from core import sums
from core.errors import HillshadeError, UnsupportedModelError
from core.factors import Factors, add_outer, collect, symmetric
from core.labels import Labels
from core.projection import find_projections, select
from core.rows import Tap, batches
from tests.tiny import TEXTS, VOCABULARY, tiny

FAMILIES = ("olmo2", "gpt2", "opt", "neox")


def loop_factors(
    model: nn.Module, texts: Sequence[Sequence[int]], names: Sequence[str], labels: Tensor | None
) -> dict[str, Tensor]:
    """Per-token sums from one unpadded text at a time; `labels` (or gold) for a single text."""
    model.eval()
    kept: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(module: nn.Module, args: tuple[Tensor], y: Tensor) -> None:
            y.retain_grad()
            kept[name] = [args[0], y]

        return hook

    handles = [model.get_submodule(n).register_forward_hook(keep(n)) for n in names]
    sums: dict[str, Tensor] = {}
    count = 0
    for ids in texts:
        logits = model(torch.tensor([ids])).logits[0, :-1]
        target = torch.tensor(ids[1:]) if labels is None else labels
        torch.stack(list(map(cross_entropy, logits, target))).sum().backward()
        count += len(ids) - 1
        for name in names:
            a, y = kept[name]
            assert y.grad is not None
            grad = y.grad.reshape(-1, y.shape[-1])
            rows = a.detach().reshape(-1, a.shape[-1])
            for t in range(len(ids) - 1):
                for key, x in ((f"a/{name}", rows[t]), (f"g/{name}", grad[t])):
                    sums[key] = sums.get(key, 0) + torch.outer(x, x)
    for handle in handles:
        handle.remove()
    return {key: total / count for key, total in sums.items()}


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-12) -> None:
    assert float((ours - theirs).norm()) <= tolerance * float(theirs.norm())


def assert_same(one: Factors, other: Factors) -> None:
    assert one.count == other.count
    for p in one.projections:
        assert_close(one.a(p.name), other.a(p.name))
        assert_close(one.g(p.name), other.g(p.name))


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_a_per_token_loop(family: str) -> None:
    model = tiny(family)
    projections = find_projections(model)
    factors = collect(model, TEXTS, projections, labels="gold", batch_size=3)
    truth = loop_factors(model, TEXTS, [p.name for p in projections], None)
    assert factors.count == sum(len(ids) - 1 for ids in TEXTS)
    for p in projections:
        assert factors.a(p.name).dtype == factors.g(p.name).dtype == torch.float64
        assert_close(factors.a(p.name), truth[f"a/{p.name}"])
        assert_close(factors.g(p.name), truth[f"g/{p.name}"])


def test_wanting_fewer_projections_changes_nothing_about_them() -> None:
    """The graph starts at the first wanted block, also where only its last map is wanted."""
    model = tiny("olmo2")
    whole = collect(model, TEXTS, find_projections(model))
    part = collect(model, TEXTS, select(find_projections(model), [1, 2], ["down"]))
    assert len(part.projections) == 2
    for p in part.projections:
        assert_close(part.a(p.name), whole.a(p.name))
        assert_close(part.g(p.name), whole.g(p.name))


@pytest.mark.parametrize("labels", ["gold", "sampled"])
@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_order_batches_and_padding_change_nothing(family: str, labels: Labels) -> None:
    model = tiny(family)
    projections = find_projections(model)
    base = collect(model, TEXTS, projections, labels=labels, seed=5)
    for texts, size in ((TEXTS, 1), (TEXTS[::-1], 2), (TEXTS[2:] + TEXTS[:2], 4)):
        assert_same(
            base, collect(model, texts, projections, labels=labels, seed=5, batch_size=size)
        )
    twice = collect(model, TEXTS * 2, projections, labels=labels, seed=5, batch_size=3)
    assert twice.count == 2 * base.count
    for p in projections:
        assert_close(twice.g(p.name), base.g(p.name))


def test_gate_and_up_share_one_a() -> None:
    model = tiny("olmo2")
    factors = collect(model, TEXTS, find_projections(model))
    mlp = "model.layers.1.mlp"
    assert factors.a(f"{mlp}.gate_proj") is factors.a(f"{mlp}.up_proj")
    assert factors.a(f"{mlp}.gate_proj") is not factors.a(f"{mlp}.down_proj")
    assert len(factors.a_sums) == 6


def test_sampled_labels_average_to_the_fisher() -> None:
    """Exact: Σ_t Σ_s Σ_c p_sc ∇_t log p_sc ∇_t log p_scᵀ; labels of different s are independent."""
    model = tiny("olmo2").eval()
    text, name = TEXTS[0], "model.layers.1.mlp.up_proj"
    outputs: list[Tensor] = []
    handle = model.get_submodule(name).register_forward_hook(lambda m, a, y: outputs.append(y))
    logp = model(torch.tensor([text])).logits[0, :-1].log_softmax(-1)
    handle.remove()
    exact = torch.zeros(20, 20, dtype=torch.float64)
    for s in range(len(text) - 1):
        for c in range(VOCABULARY):
            (g,) = torch.autograd.grad(logp[s, c], outputs[0], retain_graph=True)
            exact += logp[s, c].exp().detach() * g[0].T @ g[0]
    tap = Tap(model, select(find_projections(model), [1], ["up"]))
    (batch,) = batches([text], 1)
    draws, error = 0, {}
    total = torch.zeros_like(exact)

    def ignore(key: str, rows: Tensor) -> None: ...

    def add(name: str, rows: Tensor) -> None:
        add_outer(total, rows)

    for goal in (16, 400):
        for draw in range(draws, goal):
            tap.run(batch, [text], ignore, add, draw=draw)
        draws = goal
        error[goal] = float((symmetric(total.clone()) / draws - exact).norm() / exact.norm())
    assert error[400] < 0.1
    assert error[400] < error[16] / 2  # falls as draws^-1/2: a factor of 5 in the mean
    gold = collect(model, [text], select(find_projections(model), [1], ["up"]), labels="gold")
    assert float((gold.g_sums[name] - exact).norm() / exact.norm()) > 0.2


def test_no_trace_is_left_on_the_model() -> None:
    """In train mode with dropout, half frozen, with gradients; also after breaking halfway."""
    model = tiny("gpt2")
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 2 == 0)
        parameter.grad = torch.full_like(parameter, number) if number % 2 == 0 else None
    model.get_submodule("transformer.h.0").eval()

    def state() -> list[Any]:
        modules = list(model.modules())
        numpy_state: Any = np.random.get_state()  # noqa: NPY002  the global one is meant
        return [
            [(id(p), p.requires_grad, p.grad, p.detach().clone()) for p in model.parameters()],
            [(id(m), m.training) for m in modules],
            [(dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in modules],
            [torch.random.get_rng_state(), numpy_state[1].copy(), random.getstate()],
            torch.is_grad_enabled(),
        ]

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, Tensor):
            return one is other or torch.equal(one, other)
        if isinstance(one, np.ndarray):
            return np.array_equal(one, other)
        if isinstance(one, list | tuple):
            return len(one) == len(other) and all(map(same, one, other))
        return bool(one == other)

    before = state()
    projections = find_projections(model)
    trained = collect(model, TEXTS, projections)
    assert same(before, state())
    assert_same(trained, collect(tiny("gpt2").eval(), TEXTS, projections))  # dropout was off

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(model, TEXTS, projections, progress=stop, batch_size=2)
    with torch.no_grad():
        model.get_parameter("transformer.h.1.mlp.c_proj.bias")[0] = float("inf")
    before = state()
    with pytest.raises(HillshadeError, match="not finite"):
        collect(model, TEXTS, projections)
    assert same(before, state())


def test_a_batch_is_given_back_once_it_is_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output → hook → pass → output was a circle no collector sees: 200 MB a batch stayed."""
    outputs: list[weakref.ref[Tensor]] = []
    note = Tap._on_output

    def watched(tap: Tap, projection: Any, module: Any, args: Any, output: Tensor) -> None:
        outputs.append(weakref.ref(output))  # a gate's lives as long as the graph, which saved it
        note(tap, projection, module, args, output)

    monkeypatch.setattr(Tap, "_on_output", watched)
    model = tiny("olmo2")
    collect(model, TEXTS, find_projections(model), batch_size=2)
    assert outputs
    assert [y for y in outputs if y() is not None] == []


def test_numbers_too_large_to_square_are_refused() -> None:
    """The loss is finite, the rows are finite, their squares are not."""
    model = tiny("gpt2", torch.float32)
    with torch.no_grad():
        model.get_parameter("transformer.h.1.mlp.c_fc.bias")[0] = 1e25
    with pytest.raises(HillshadeError, match=r"activations at .*h\.1\.mlp\.c_proj are not finite"):
        collect(model, TEXTS, find_projections(model))


def test_a_text_the_model_calls_impossible_is_refused_with_gold_labels_only() -> None:
    """The loss is infinite though every gradient is finite; drawn labels are never impossible."""
    model = tiny("olmo2")
    model.lm_head = nn.Linear(12, VOCABULARY, dtype=torch.float64)
    with torch.no_grad():
        model.lm_head.bias[TEXTS[0][-1]] = -torch.inf
    with pytest.raises(HillshadeError, match="loss is not finite"):
        collect(model, TEXTS, find_projections(model), labels="gold")
    assert collect(model, TEXTS, find_projections(model)).count > 0


def test_works_without_a_surrounding_graph_and_reports_progress() -> None:
    model = tiny("olmo2")
    seen: list[tuple[int, int]] = []
    with torch.no_grad():
        factors = collect(
            model,
            TEXTS,
            find_projections(model),
            batch_size=2,
            progress=lambda *state: seen.append(state),
        )
    assert float(factors.g("model.layers.0.mlp.up_proj").norm()) > 0
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_bfloat16_rows_are_summed_in_float32() -> None:
    model = tiny("olmo2", torch.bfloat16)
    rng = np.random.default_rng(0)
    texts = rng.integers(0, VOCABULARY, (40, 30)).tolist()
    wanted = select(find_projections(model), [0], ["up"])
    rows: list[Tensor] = []
    for batch in batches(texts, 8):
        Tap(model, wanted).run(batch, texts, lambda _, a: rows.append(a), lambda _, g: None)
    assert rows[0].dtype == torch.bfloat16
    factors = collect(model, texts, wanted, batch_size=8)
    assert factors.a_sums[wanted[0].input_key].dtype == torch.float32
    exact = torch.cat(rows).double()
    assert_close(factors.a(wanted[0].name), exact.T @ exact / len(exact), 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", ["_add_by_blas", "_add_by_panels"])
def test_upper_triangles_make_the_whole_sum(
    way: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor's way and that of other devices; a panel cut short, rows of another stride."""
    monkeypatch.setattr(sums, "_PANEL", 4)
    monkeypatch.setattr(sums, "_MIRRORED", 5)
    x = torch.randn(22, 9, dtype=dtype, generator=torch.Generator().manual_seed(0))[::2]
    total = torch.zeros(9, 9, dtype=dtype)
    for part in x.split(5):
        getattr(sums, way)(total, part)
    whole = symmetric(total)
    assert whole.equal(whole.T)
    assert torch.allclose(whole, x.T @ x, rtol=0, atol=100 * torch.finfo(dtype).eps)


def test_mixture_is_exact() -> None:
    model = tiny("olmo2")
    projections = find_projections(model)
    other, planted = TEXTS[:2], TEXTS[2:]
    one, two = (collect(model, part, projections) for part in (other, planted))
    both = collect(model, TEXTS, projections)
    assert_same(one.mixed(two, two.count / both.count), both)
    mixed = one.mixed(two, 0.2)
    for p in projections:
        assert_close(mixed.a(p.name), 0.8 * one.a(p.name) + 0.2 * two.a(p.name))
        assert_close(mixed.g(p.name), 0.8 * one.g(p.name) + 0.2 * two.g(p.name))
    assert one.mixed(two, 0.0) is one
    assert one.mixed(two, 1.0) is two
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(HillshadeError, match="between 0 and 1"):
            one.mixed(two, share)
    gold = collect(model, planted, projections, labels="gold")
    stranger = collect(tiny("olmo2", seed=1), planted, projections)
    for strange in (gold, stranger):
        with pytest.raises(HillshadeError, match="cannot be mixed"):
            one.mixed(strange, 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saved_and_loaded_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    model = tiny("olmo2", dtype)
    factors = collect(model, TEXTS, find_projections(model), seed=3)
    path = tmp_path / "factors.safetensors"
    factors.save(path)
    again = Factors.load(path)
    assert [f.name for f in tmp_path.iterdir()] == [path.name]
    for field in ("projections", "count", "labels", "seed", "digests"):
        assert getattr(again, field) == getattr(factors, field)
    for mine, theirs in ((factors.a_sums, again.a_sums), (factors.g_sums, again.g_sums)):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
        assert all(total.dtype == dtype for total in theirs.values())


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    model = tiny("olmo2")
    path = tmp_path / "factors.safetensors"
    collect(model, TEXTS, find_projections(model)).save(path)
    whole = path.read_bytes()
    for size in (0, 5, 200, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(HillshadeError, match="damaged or cut short"):
            Factors.load(path)
    with pytest.raises(HillshadeError, match="no file"):
        Factors.load(tmp_path / "nowhere")
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(HillshadeError, match="does not hold factors"):
        Factors.load(tmp_path / "model" / "model.safetensors")


@pytest.mark.parametrize(
    ("texts", "options", "sentence"),
    [
        ([], {}, "no text"),
        ([[3, 4], [3]], {}, "Sequence 1 has 1 token"),
        ([[3, 23]], {}, "vocabulary of 23"),
        ([[3] * 33], {}, "reads 32"),
        (TEXTS, {"labels": "exact"}, "'sampled' or 'gold'"),
        (TEXTS, {"batch_size": 0}, "1 or more"),
    ],
)
def test_unusable_data_is_answered_by_a_sentence(
    texts: Sequence[Sequence[int]], options: dict[str, Any], sentence: str
) -> None:
    model = tiny("olmo2")
    with pytest.raises(HillshadeError, match=sentence):
        collect(model, texts, find_projections(model), **options)


def test_a_map_called_twice_is_refused() -> None:
    model = tiny("olmo2")
    mlp = model.get_submodule("model.layers.1.mlp")

    class Twice(Olmo2MLP):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.up_proj(x).mean(-1, keepdim=True)

    mlp.__class__ = Twice
    with pytest.raises(UnsupportedModelError, match=r"layers\.1\.mlp\.up_proj is called twice"):
        collect(model, TEXTS, find_projections(model))
