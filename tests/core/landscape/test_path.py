"""The line to an edit and the way of training, on slices."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from core.basis import bases
from core.edit import Editor
from core.errors import HillshadeError
from core.factors import collect
from core.landscape.directions import edit
from core.landscape.path import training_path
from core.landscape.slices import Line, cut
from core.landscape.texts import Texts
from core.measures import read
from core.projection import find_projections, select, weight_digest
from tests.tiny import TEXTS, tiny

PLAIN = Texts.of_sequences(TEXTS)


@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_a_slice_along_an_edit_runs_from_the_original_to_the_edit(family: str) -> None:
    model = tiny(family).eval()
    projections = select(find_projections(model), [0, 1], ["up", "down"])
    made = bases(collect(model, TEXTS, projections), projections)
    editor = Editor(model, made, projections, "kfac")
    changed, report = editor.at(0.6)
    ray = edit(model, changed, projections, {"method": "kfac", "setting": 0.6})
    line = Line(ray, (-0.5, 0.0, 1.0, 1.5), "direction")
    path = cut(model, [line], PLAIN, bases=made)
    for k, end in ((1, model), (2, changed)):
        reading = read(end, TEXTS)
        assert path.loss[k] * path.tokens == pytest.approx(reading.loss, abs=2e-5)
    assert np.abs(path.loss[2] - path.loss[1]).max() > 1e-3
    changes = [(p.weight(changed) - p.weight(model)).detach().square().sum() for p in projections]
    assert path.axes[0].unit == pytest.approx(float(sum(changes)) ** 0.5)
    assert path.axes[0].origin == {"kind": "edit", "method": "kfac", "setting": 0.6}
    # The cut pairs hold the mass that the edit drops, the kept ones none of the direction.
    cut_mass, total = 0.0, 0.0
    for projection in projections:
        basis = made[projection.name]
        c = (basis.u_g.T @ projection.weight(model).detach() @ basis.u_a).numpy()
        grid = np.outer(basis.lam, basis.mu)
        dropped = grid < basis.staircase.kept(0.6).cutoff
        cut_mass += float((grid * np.square(c))[dropped].sum())
        total += grid.sum()
    length = path.axes[0].unit ** 2
    assert path.kfac is not None and path.kfac[0, 0] == pytest.approx(cut_mass / length)
    assert path.mass_share == pytest.approx(cut_mass / length / total)
    assert report.directions_kept > 0


@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_the_training_path_lies_in_the_plane_of_two_moves(family: str) -> None:
    """Snapshots in a plane, over all weights: places, losses and the share held are known."""
    model = tiny(family).eval()
    before = weight_digest(model)
    final = {name: w.detach() for name, w in model.named_parameters()}
    rng = torch.Generator().manual_seed(0)
    moves = [
        {n: 0.02 * torch.randn(w.shape, generator=rng, dtype=w.dtype) for n, w in final.items()}
        for _ in range(2)
    ]
    mixed = [(3.0, 0.1), (2.0, 1.0), (0.5, 1.2), (0.0, 0.0)]

    def at(sizes: tuple[float, float]) -> dict[str, Tensor]:
        return {
            n: w + sum(s * m[n] for s, m in zip(sizes, moves, strict=True))
            for n, w in final.items()
        }

    seen: list[tuple[int, int]] = []
    run = training_path(
        model,
        [(10 * k, at(sizes)) for k, sizes in enumerate(mixed)],
        PLAIN,
        points=4,
        progress=lambda *state: seen.append(state),
    )
    assert seen[-1] == (20, 20)
    assert run.held == pytest.approx(1.0, abs=1e-10)
    assert run.steps.tolist() == [0, 10, 20, 30]
    for k, sizes in enumerate(mixed):
        walker = copy.deepcopy(model)
        with torch.no_grad():
            for name, w in walker.named_parameters():
                w.copy_(at(sizes)[name])
        assert run.loss[k] * PLAIN.tokens == pytest.approx(read(walker, TEXTS).loss, abs=2e-5)
        distance = sum(float((at(sizes)[n] - w).square().sum()) for n, w in final.items()) ** 0.5
        assert np.linalg.norm(run.places[k]) * run.plane.axes[0].unit == pytest.approx(distance)
    assert np.abs(run.loss[-1] - run.plane.base).max() < 1e-12
    for axis, places in zip(run.plane.axes, run.places.T, strict=True):
        spacing = axis.values[1] - axis.values[0]
        assert axis.values[0] < places.min() + spacing and places.max() - spacing < axis.values[-1]
    assert weight_digest(model) == before


def test_a_grid_point_of_the_training_plane_is_the_model_there() -> None:
    """Two orthogonal moves span the plane, so a grid point can be walked to by hand."""
    model = tiny("gpt2").eval()
    final = {name: w.detach() for name, w in model.named_parameters()}
    names = ("transformer.wte.weight", "transformer.h.1.attn.c_attn.weight")
    sizes = (2.0, 1.0)
    snapshots = [
        (k, {n: w + (s / w.numel() ** 0.5 if n == name else 0.0) for n, w in final.items()})
        for k, (name, s) in enumerate(zip(names, sizes, strict=True))
    ]
    run = training_path(model, snapshots, PLAIN, points=3)
    unit = run.plane.axes[0].unit
    signs = np.sign([run.places[0, 0], run.places[1, 1]])
    i, j = 0, 2
    walker = copy.deepcopy(model)
    with torch.no_grad():
        for name, sign, axis, k in zip(names, signs, run.plane.axes, (i, j), strict=True):
            w = walker.get_parameter(name)
            w.add_(float(sign * axis.values[k] * unit / w.numel() ** 0.5))
    found = run.plane.loss[i, j] * PLAIN.tokens
    assert found == pytest.approx(read(walker, TEXTS).loss, abs=2e-5)
    assert np.abs(run.plane.loss[i, j] - run.plane.base).max() > 1e-3


def test_snapshots_of_another_model_or_too_few_are_refused() -> None:
    model = tiny("gpt2").eval()
    final = {name: w.detach() for name, w in model.named_parameters()}
    moved = {name: w + 0.01 for name, w in final.items()}
    with pytest.raises(HillshadeError, match="two snapshots"):
        training_path(model, [(0, moved), (1, final)], PLAIN)
    with pytest.raises(HillshadeError, match="two snapshots"):
        training_path(model, [], PLAIN)
    stranger = dict(tiny("olmo2").named_parameters())
    with pytest.raises(HillshadeError, match="snapshot of step 7"):
        training_path(model, [(7, stranger)], PLAIN)
