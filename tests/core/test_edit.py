"""All methods on one interface: what they keep, and that nobody's model changes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.basis import Basis, bases
from core.edit import Editor, Recipe, edit_report, edited
from core.ekfac import collect_ekfac
from core.errors import HillshadeError
from core.factors import collect
from core.methods import METHODS
from core.projection import Projection, find_projections, select, weight_digest
from tests.tiny import TEXTS, tiny

FAMILIES = ("olmo2", "gpt2")
EVERY_METHOD = pytest.mark.parametrize("method", list(METHODS))


class Setup:
    """One model with the bases of its last layer."""

    def __init__(self, family: str, dtype: torch.dtype = torch.float64) -> None:
        self.model: PreTrainedModel = tiny(family, dtype).eval()
        everything = find_projections(self.model)
        self.projections: tuple[Projection, ...] = select(everything, [everything[-1].layer])
        self.bases: dict[str, Basis] = bases(
            collect(self.model, TEXTS, self.projections), self.projections
        )
        self.ekfac = collect_ekfac(self.model, TEXTS, self.bases, self.projections)

    def editor(self, method: str, seed: int = 0, **options: bool) -> Editor[PreTrainedModel]:
        return Editor(
            self.model, self.bases, self.projections, method, seed, ekfac=self.ekfac, **options
        )

    def weights(self, model: PreTrainedModel) -> list[Tensor]:
        return [p.weight(model).detach() for p in self.projections]


@pytest.fixture(scope="module", params=FAMILIES)
def setup(request: pytest.FixtureRequest) -> Setup:
    return Setup(request.param)


@pytest.fixture(scope="module")
def olmo2() -> Setup:
    return Setup("olmo2")


def kfac_by_full_sort(w: Tensor, basis: Basis, mass: float) -> tuple[Tensor, Tensor]:
    """W' and the mask of kept pairs, from the whole grid and a plain sort."""
    lam, mu = torch.from_numpy(basis.lam), torch.from_numpy(basis.mu)
    grid = torch.outer(lam, mu).flatten()
    order = grid.sort(descending=True, stable=True).indices
    few = int((grid[order].cumsum(0) < mass * lam.sum() * mu.sum()).sum()) + 1
    mask = torch.zeros_like(grid)
    mask[order[:few]] = 1
    mask = mask.reshape(len(lam), len(mu))
    return basis.u_g @ (basis.u_g.T @ w @ basis.u_a * mask) @ basis.u_a.T, mask


def test_kfac_equals_the_formula(setup: Setup) -> None:
    for mass in (0.3, 0.9, 0.999):
        model, report = setup.editor("kfac").at(mass)
        pairs = zip(setup.projections, setup.weights(setup.model), strict=True)
        kept = energy = 0.0
        for projection, w in pairs:
            expected, mask = kfac_by_full_sort(w, setup.bases[projection.name], mass)
            error = projection.weight(model).detach() - expected
            assert float(error.norm()) < 1e-12 * float(w.norm())
            kept += int(mask.sum())
            energy += float(expected.square().sum())
        total = sum(float(w.square().sum()) for w in setup.weights(setup.model))
        assert report.directions_kept == kept
        assert report.directions_total == sum(w.numel() for w in setup.weights(setup.model))
        assert report.weight_kept == pytest.approx(energy / total, rel=1e-10)


@EVERY_METHOD
def test_setting_one_is_the_weight_itself(setup: Setup, method: str) -> None:
    model, report = setup.editor(method).at(1.0)
    for mine, theirs in zip(model.parameters(), setup.model.parameters(), strict=True):
        assert mine.data_ptr() == theirs.data_ptr()
    assert report.directions_kept == report.directions_total
    assert report.weight_kept == 1.0


@EVERY_METHOD
def test_only_the_edited_weights_are_owned_and_the_model_stays(setup: Setup, method: str) -> None:
    before = weight_digest(setup.model)
    with torch.no_grad():
        logits = setup.model(torch.tensor([TEXTS[0]])).logits
        model, _ = setup.editor(method).at(0.4)
        other, _ = setup.editor(method).at(0.8)
        mine = model(torch.tensor([TEXTS[0]])).logits
        assert not torch.allclose(mine, other(torch.tensor([TEXTS[0]])).logits)
        assert torch.equal(mine, model(torch.tensor([TEXTS[0]])).logits)
        assert torch.equal(logits, setup.model(torch.tensor([TEXTS[0]])).logits)
    assert weight_digest(setup.model) == before
    owned = {f"{p.name}.weight" for p in setup.projections}
    originals = dict(setup.model.named_parameters())
    for name, parameter in model.named_parameters():
        assert (parameter.data_ptr() == originals[name].data_ptr()) == (name not in owned)
        assert parameter.is_contiguous()
        assert parameter.requires_grad == originals[name].requires_grad
    theirs = dict(setup.model.named_buffers())
    assert all(b.data_ptr() == theirs[n].data_ptr() for n, b in model.named_buffers())
    model.requires_grad_(False).half().train()  # an edited model may be treated as one's own
    assert weight_digest(setup.model) == before
    assert not setup.model.training
    assert all(p.requires_grad for p in setup.model.parameters())


def test_noise_is_as_large_as_the_kfac_change(setup: Setup) -> None:
    for mass in (0.4, 0.95):
        w = setup.weights(setup.model)
        kfac, noise, again, other = (
            setup.weights(setup.editor(method, seed).at(mass)[0])
            for method, seed in (("kfac", 0), ("noise", 1), ("noise", 1), ("noise", 2))
        )
        for original, cut, noisy, same, differs in zip(w, kfac, noise, again, other, strict=True):
            size = float((cut - original).norm())
            assert float((noisy - original).norm()) == pytest.approx(size, rel=1e-12)
            assert torch.equal(noisy, same)
            overlap = ((noisy - original) * (differs - original)).sum() / size**2
            assert abs(float(overlap)) < 0.3


def test_random_keeps_a_share_of_pairs_of_its_own(setup: Setup) -> None:
    masks: list[list[Tensor]] = []
    for seed, share in ((1, 0.5), (1, 0.8), (2, 0.8)):
        model, report = setup.editor("random", seed).at(share)
        assert [p.kept for p in report.projections] == [
            round(share * p.total) for p in report.projections
        ]
        coordinates = [
            setup.bases[p.name].u_g.T @ p.weight(model).detach() @ setup.bases[p.name].u_a
            for p in setup.projections
        ]
        masks.append([c.abs() > 1e-10 for c in coordinates])
        assert [int(m.sum()) for m in masks[-1]] == [p.kept for p in report.projections]
    for fewer, more, other_seed in zip(*masks, strict=True):
        assert bool((fewer <= more).all())
        assert bool((more != other_seed).any())


def test_svd_keeps_the_fewest_singular_directions(setup: Setup) -> None:
    model, report = setup.editor("svd").at(0.7)
    parts = zip(setup.weights(setup.model), setup.weights(model), report.projections, strict=True)
    for w, cut, part in parts:
        sigma = np.linalg.svd(w.numpy(), compute_uv=False)
        left = np.linalg.svd(cut.numpy(), compute_uv=False)
        rank = part.kept
        assert left[:rank] == pytest.approx(sigma[:rank], rel=1e-10)
        assert np.abs(left[rank:]).max() < 1e-12
        assert (sigma[:rank] ** 2).sum() >= 0.7 * (sigma**2).sum() > (sigma[: rank - 1] ** 2).sum()
        assert part.weight_kept == pytest.approx((left**2).sum() / (sigma**2).sum(), rel=1e-10)


def test_magnitude_keeps_the_largest_entries(setup: Setup) -> None:
    model, report = setup.editor("magnitude").at(0.35)
    parts = zip(setup.weights(setup.model), setup.weights(model), report.projections, strict=True)
    for w, cut, part in parts:
        kept = cut != 0
        assert part.kept == int(kept.sum()) == round(0.35 * w.numel())
        assert torch.equal(cut[kept], w[kept])
        assert w[kept].abs().min() >= w[~kept].abs().max()


@EVERY_METHOD
def test_less_is_kept_the_further_the_setting_goes(olmo2: Setup, method: str) -> None:
    editor = olmo2.editor(method)
    reports = [editor.at(setting)[1] for setting in (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)]
    kept = [report.weight_kept for report in reports]
    assert kept == sorted(kept)
    assert kept[0] == pytest.approx(0.0, abs=1e-12)
    if method != "noise":
        assert reports[0].directions_kept == 0
    assert all(report.directions_total == reports[0].directions_total for report in reports)


def test_equal_magnitudes_go_by_row_then_column() -> None:
    setup = Setup("gpt2")  # Conv1D stores W transposed: the order is still that of W
    (up, _) = setup.projections
    with torch.no_grad():
        up.weight(setup.model).fill_(-0.5)
    model, _ = Editor(setup.model, None, [up], "magnitude").at(0.25)
    expected = torch.zeros(up.shape, dtype=torch.float64)
    expected.view(-1)[: expected.numel() // 4] = -0.5
    assert torch.equal(up.weight(model), expected)


@EVERY_METHOD
def test_a_weight_of_zeros_stays_whole_at_one(method: str) -> None:
    """Nothing to keep a share of: no division by zero, and setting 1 is still W itself."""
    model = tiny("gpt2").eval()
    (up, _) = chosen = select(find_projections(model), [1])
    with torch.no_grad():
        up.weight(model).zero_()
    made = bases(collect(model, TEXTS, chosen), chosen)
    editor = Editor(model, made, [up], method, ekfac=collect_ekfac(model, TEXTS, made, chosen))
    whole, report = editor.at(1.0)
    assert up.weight(whole).data_ptr() == up.weight(model).data_ptr()
    assert report.directions_kept == report.directions_total
    cut, report = editor.at(0.5)
    assert not up.weight(cut).any()
    assert report.weight_kept == 1.0


@EVERY_METHOD
def test_a_recipe_makes_the_same_model(olmo2: Setup, method: str) -> None:
    editor = olmo2.editor(method, seed=4)
    recipe = editor.recipe(0.6)
    assert (recipe.seed is None) == (method not in ("random", "noise"))
    assert (recipe.basis_digest is None) == (method in ("svd", "magnitude"))
    model, report = editor.at(0.6)
    again = edited(olmo2.model, recipe, olmo2.bases, ekfac=olmo2.ekfac)
    assert weight_digest(again) == weight_digest(model)
    assert edit_report(olmo2.model, recipe, olmo2.bases, ekfac=olmo2.ekfac) == report


def test_the_edited_model_is_an_ordinary_one(tmp_path: Path) -> None:
    model: Any = Setup("olmo2", torch.float32).editor("kfac").at(0.5)[0]
    prompt = torch.tensor([TEXTS[0]])
    options = {"max_new_tokens": 5, "do_sample": False, "attention_mask": torch.ones_like(prompt)}
    words = model.generate(prompt, **options)
    model.save_pretrained(tmp_path)
    again: Any = type(model).from_pretrained(tmp_path)
    assert weight_digest(again) == weight_digest(model)
    assert torch.equal(again.generate(prompt, **options), words)


def test_a_bfloat16_model_is_edited_in_float32_and_stays_bfloat16() -> None:
    setup = Setup("olmo2", torch.bfloat16)
    model, _ = setup.editor("kfac").at(0.7)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    for projection, w in zip(setup.projections, setup.weights(setup.model), strict=True):
        basis = setup.bases[projection.name]
        assert basis.u_g.dtype == torch.float32
        wide = replace(basis, u_g=basis.u_g.double(), u_a=basis.u_a.double())
        expected, _ = kfac_by_full_sort(w.double(), wide, 0.7)
        error = projection.weight(model).detach().double() - expected
        assert float(error.abs().max()) <= 2.0**-8 * float(expected.abs().max())


# --- bad input -----------------------------------------------------------------------------------


@EVERY_METHOD
@pytest.mark.parametrize("setting", [-0.1, 1.5, float("nan")])
def test_impossible_settings_are_answered_by_a_sentence(
    olmo2: Setup, method: str, setting: float
) -> None:
    editor = olmo2.editor(method)
    for attempt in (editor.at, editor.recipe):
        with pytest.raises(HillshadeError, match="between 0 and 1"):
            attempt(setting)


@EVERY_METHOD
def test_weights_that_are_not_finite_are_refused(method: str) -> None:
    setup = Setup("gpt2")
    with torch.no_grad():
        setup.projections[1].weight(setup.model)[0, 0] = float("nan")
    with pytest.raises(HillshadeError, match=r"h\.1\.mlp\.c_proj hold NaN"):
        setup.editor(method)


def test_bases_that_do_not_belong_are_refused(olmo2: Setup) -> None:
    def editor(model: PreTrainedModel, bases: dict[str, Basis] | None) -> None:
        Editor(model, bases, olmo2.projections, "kfac")

    up, down = (p.name for p in olmo2.projections[1:])
    swapped = olmo2.bases | {up: olmo2.bases[down]}
    for bases_, sentence in ((None, "no curvature basis"), (swapped, "is 12x20 but")):
        with pytest.raises(HillshadeError, match=sentence):
            editor(olmo2.model, bases_)
    with pytest.raises(HillshadeError, match="other weights"):
        editor(tiny("olmo2", seed=1), olmo2.bases)


def test_a_recipe_refuses_another_basis_model_or_method(olmo2: Setup) -> None:
    recipe = olmo2.editor("kfac").recipe(0.5)
    texts: Sequence[Sequence[int]] = TEXTS[:2]
    other = bases(collect(olmo2.model, texts, olmo2.projections), olmo2.projections)
    with pytest.raises(HillshadeError, match="another curvature basis"):
        edited(olmo2.model, recipe, other)
    with pytest.raises(HillshadeError, match="does not have"):
        edited(tiny("gpt2"), recipe, olmo2.bases)
    with pytest.raises(HillshadeError, match="choose kfac, svd"):
        replace(recipe, method="prune")
    with pytest.raises(HillshadeError, match="choose kfac, svd"):
        olmo2.editor("prune")
    with pytest.raises(HillshadeError, match="takes no seed"):
        replace(recipe, seed=1)
    with pytest.raises(HillshadeError, match="needs a seed"):
        Recipe("noise", recipe.projections, 0.5)
    with pytest.raises(HillshadeError, match="at least one"):
        Editor(olmo2.model, olmo2.bases, [], "kfac")
