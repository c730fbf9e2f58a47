"""Verdicts on worlds whose truth is known, and the whole measurement on a small model."""

import json
import math

import numpy as np
import pytest
import torch

from core.basis import bases
from core.curvature.findings import measure
from core.curvature.hills import overlap_finding, shared_spread, step_finding
from core.curvature.overlap import gram
from core.curvature.resampling import Floats, estimate, pair_mean
from core.curvature.spikes import Gradient, own_directions
from core.curvature.verdicts import Verdict, plain
from core.errors import HillshadeError
from core.factors import collect
from core.intervals import Estimate
from core.items import Item
from core.projection import find_projections, select, weight_digest
from tests.tiny import VOCABULARY, tiny

M = 30


def world(own: float, spill: float, noise: float, seed: int = 0) -> Floats:
    """Rises of strings (first) and fresh texts; `spill` is what one string does to the others."""
    rng = np.random.default_rng(seed)
    table = np.zeros((2 * M, 2 * M))
    table[:M, :M] = spill
    table[M:, M:] = 0.1
    table[np.arange(M), np.arange(M)] = own
    table[:M, M:] = 0.002
    return np.asarray(table * np.exp(noise * rng.standard_normal(table.shape)))


@pytest.mark.parametrize(
    ("own", "spill", "noise", "holds"),
    [
        (0.1, 0.01, 0.3, [True, True, True]),
        (0.1, 0.08, 0.3, [True, False, True]),
        (0.004, 0.001, 0.3, [False, True, True]),
        (0.1, 0.011, 1.5, [True, None, None]),
    ],
)
def test_hypotheses_about_rises(
    own: float, spill: float, noise: float, holds: list[object]
) -> None:
    table = world(own, spill, noise)
    found = step_finding(0.1, table, table, M)
    assert [verdict.holds for verdict in found.verdicts] == holds
    assert found.medians["memorized own"].value == np.median(table.diagonal()[:M])
    others = [np.delete(table[x, :M], x).mean() for x in range(M)]
    assert found.medians["memorized others"].value == pytest.approx(np.median(others))
    assert found.larger == found.medians


def test_probes_own_no_direction_and_move_nothing_but_their_own_median() -> None:
    table = world(0.1, 0.01, 0.3)
    probes = np.full((2 * M, 7), 0.004) * np.arange(1, 8)
    wide = np.hstack([table, probes])
    found, alone = step_finding(0.1, wide, wide, M), step_finding(0.1, table, table, M)
    assert found.medians.pop("memorized to probes").value == pytest.approx(0.016)
    assert found.medians == alone.medians and found.verdicts == alone.verdicts


def test_a_loss_that_falls_makes_an_infinite_ratio_and_plain_json() -> None:
    table = world(0.1, 0.01, 0.3)
    table[:M, M:] *= -1
    verdict = step_finding(0.1, table, table, M).verdicts[0]
    assert verdict.measured.value == math.inf and verdict.holds
    assert plain(verdict)["measured"]["value"] is None
    assert json.loads(json.dumps(plain(verdict), allow_nan=False))["at_most"] is None


@pytest.mark.parametrize("sign", [0, -1])
def test_where_no_loss_rises_no_claim_about_rises_holds(sign: int) -> None:
    table = sign * np.abs(world(0.1, 0.01, 0.3))
    found = step_finding(0.1, table, table, M)
    assert [verdict.holds for verdict in found.verdicts] == [False] * 3


def made(n: int, shared: float, seed: int) -> list[Gradient]:
    """Gradients of rank one and a half: a common part of weight `shared` and one of their own."""
    rng = torch.Generator().manual_seed(seed)

    def unit(size: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(1, size, generator=rng), dim=1)

    u, v = unit(40), unit(30)
    return [
        (torch.cat([shared * u, (1 - shared) * unit(40)]), torch.cat([v, unit(30)]))
        for _ in range(n)
    ]


@pytest.mark.parametrize(("mine", "holds"), [(0.1, True), (0.9, False)])
def test_hypotheses_about_overlap_and_flattening(mine: float, holds: bool) -> None:
    strings, fresh = made(M, mine, 0), made(M, 1 - mine, 1)
    spikes = own_directions("w", strings), own_directions("w", fresh)
    found = overlap_finding(*spikes, gram(strings + fresh))
    assert [verdict.holds for verdict in found.verdicts] == [holds, holds]
    assert (found.means["memorized"].value < found.means["fresh"].value) is holds
    assert set(found.flattening) == {"memorized", "fresh", "memorized raw", "fresh raw"}


def test_groups_that_rise_alike_and_groups_that_do_not() -> None:
    rng = np.random.default_rng(0)
    level = np.repeat([1.0, 2.0, 1.5], 20)
    table = level * np.exp(0.2 * rng.standard_normal((8, 60)))
    groups = np.split(np.arange(60), 3)
    near = shared_spread(table, groups)
    assert Verdict("", near, at_most=3.0).holds and near.value == pytest.approx(2.0, rel=0.1)
    far = shared_spread(table * np.repeat([1.0, 5.0, 1.0], 20), groups)
    assert Verdict("", far, at_most=3.0).holds is False


def test_no_example_is_paired_with_itself() -> None:
    table = np.zeros((3, 3)) + np.diag([9.0, 9.0, 9.0])
    assert pair_mean(table, np.array([0, 0, 1]), np.array([0, 0, 1]), same_group=True) == 0.0
    found = estimate(lambda some: float(np.mean(some)), [50], replicates=200)
    assert found.value == 24.5 and found.low < 24.5 < found.high
    assert Verdict("", Estimate(2, 1, 3, 9), at_least=2).holds is None


def test_the_whole_measurement_on_a_small_model() -> None:
    model = tiny("olmo2", torch.float32).eval()
    rng = np.random.default_rng(0)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(rng.integers(3, VOCABULARY, length).tolist())

    def item(number: int, kind: str, group: str, repeats: int | None) -> Item:
        half = "choose" if number % 2 else "report"
        prompt, truth = ids(4), ids(5 if kind == "memory" else 2)
        return Item(f"{group}/{number}", kind, group, half, prompt, truth, "", "", repeats)  # type: ignore[arg-type]

    strings = [item(n, "memory", "passage", 512 if n < 20 else 8) for n in range(30)]
    probes = [item(n, "probe", group, None) for n in range(10) for group in ("sums", "logic")]
    fresh = [ids(12) for _ in range(20)]
    projections = find_projections(model)
    late = select(projections, [2], ["gate", "up"])
    digest = weight_digest(model)
    seen: list[tuple[int, int]] = []

    def run(probes: list[Item]) -> dict[str, object]:
        return measure(
            model,
            bases(collect(model, fresh, projections), projections),
            strings,
            fresh[:10],
            fresh[10:],
            probes,
            projections=late,
            fractions=(0.1,),
            progress=lambda *state: seen.append(state),
        ).plain()

    found = run(probes)
    assert weight_digest(model) == digest
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["texts"] == {f"{half} {name}": 10 for half in ("choose", "report")
                              for name in ("memorized", "fresh", "probes")}  # fmt: skip
    names = [p.name for p in late]
    assert list(found["scores"]) == names and found["chosen"] in names  # type: ignore[call-overload]
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1] and seen == sorted(seen)
    with pytest.raises(HillshadeError, match="8 probes"):
        run(probes[:16])
