"""The engine on image classifiers: the rows, factors and curvatures of a ViT, by plain loops."""

import copy
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.basis import bases
from core.curvature.exact import ggn_along
from core.curvature.examples import example_inputs, example_rows
from core.direction import rank_one
from core.edit import Editor
from core.ekfac import collect_ekfac
from core.errors import HillshadeError, UnsupportedModelError
from core.factors import Factors, add_outer, collect, symmetric
from core.images import Image, Images, Positions
from core.labels import keyed_uniforms
from core.projection import Projection, find_projections, select, weight_digest
from core.rows import Tap, batches, readable
from tests.tiny import TEXTS, tiny
from tests.vision import CLASSES, POSITIONS, classifier, images

BOTH = pytest.mark.parametrize("positions", get_args(Positions))


def loop_rows(
    model: PreTrainedModel, projection: Projection, image: Image, label: int
) -> tuple[Tensor, Tensor]:
    """The rows a and g at every position of one image, (T, q) and (T, p), by plain autograd."""
    kept: list[Tensor] = []

    def keep(module: Any, args: tuple[Tensor], output: Tensor) -> None:
        kept.extend((args[0], output))

    handle = model.get_submodule(projection.name).register_forward_hook(keep)
    logits = model(pixel_values=image.pixels[None].to(model.dtype)).logits[0]
    handle.remove()
    (g,) = torch.autograd.grad(cross_entropy(logits, torch.tensor(label)), kept[1])
    return kept[0].detach()[0], g[0]


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-12) -> None:
    assert float(theirs.norm()) > 0
    assert float((ours - theirs).norm()) <= tolerance * float(theirs.norm())


def assert_same(one: Factors, other: Factors) -> None:
    assert one.count == other.count
    for p in one.projections:
        assert_close(one.a(p.name), other.a(p.name))
        assert_close(one.g(p.name), other.g(p.name))


@BOTH
def test_equal_to_a_loop_over_images_and_positions(positions: Positions) -> None:
    model, shown = classifier(), images()
    before = weight_digest(model)
    projections = find_projections(model, attention=True)
    counted = range(1 if positions == "cls" else POSITIONS)
    factors = collect(model, Images(shown, positions), projections, labels="gold", batch_size=3)
    assert factors.count == len(shown) * len(counted)
    for p in projections:
        a, g = torch.zeros(p.in_features, p.in_features), torch.zeros(p.shape[0], p.shape[0])
        a, g = a.double(), g.double()
        for image in shown:
            a_tq, g_tp = loop_rows(model, p, image, image.given)
            for t in counted:
                a += torch.outer(a_tq[t], a_tq[t]) / factors.count
                g += torch.outer(g_tp[t], g_tp[t]) / factors.count
        assert_close(factors.a(p.name), a)
        assert_close(factors.g(p.name), g)
    assert weight_digest(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())


@BOTH
def test_order_and_batches_change_nothing_and_labels_follow_the_pixels(
    positions: Positions,
) -> None:
    model, shown = classifier(), images()
    projections = find_projections(model)
    base = collect(model, Images(shown, positions), projections, seed=5)
    for some, size in ((shown, 1), (shown[::-1], 2), (shown[3:] + shown[:3], 4)):
        again = collect(model, Images(some, positions), projections, seed=5, batch_size=size)
        assert_same(base, again)
    renamed = [Image(f"x{i.id}", "choose", i.pixels.clone(), 0) for i in shown]
    assert_same(base, collect(model, Images(renamed, positions), projections, seed=5))
    other = collect(model, Images(shown, positions), projections, seed=6)
    name = projections[0].name
    assert float((other.g(name) - base.g(name)).norm()) > 1e-3 * float(base.g(name).norm())
    moved = Image("x", "choose", shown[0].pixels + 1e-3, 0)
    assert keyed_uniforms(5, moved) != keyed_uniforms(5, shown[0])
    assert keyed_uniforms(5, renamed[0]) == keyed_uniforms(5, shown[0])


def test_sampled_labels_average_to_the_fisher() -> None:
    """Σ_c p_c ∇log p_c ∇log p_cᵀ over every position: one label an image serves them all."""
    model, (image, *_) = classifier(), images()
    (up,) = select(find_projections(model), [0], ["up"])
    logits = model(pixel_values=image.pixels[None].double()).logits[0]
    exact = torch.zeros(48, 48, dtype=torch.float64)
    for label, p in enumerate(logits.softmax(-1).tolist()):
        g = loop_rows(model, up, image, label)[1]
        exact += p * g.T @ g
    sample = readable(Images([image], "all"), model)
    (batch,) = batches(sample, 1)
    total, tap = torch.zeros_like(exact), Tap(model, [up])

    def ignore(key: str, rows: Tensor) -> None: ...

    def add(name: str, rows: Tensor) -> None:
        add_outer(total, rows)

    for draw in range(600):
        tap.run(batch, sample, ignore, add, draw=draw)
    assert float((symmetric(total) / 600 - exact).norm() / exact.norm()) < 0.1
    gold = collect(model, Images([image], "all"), [up], labels="gold").g_sums[up.name]
    assert float((gold - exact).norm() / exact.norm()) > 0.2


def test_kfac_with_exact_labels_is_the_ggn_block_of_one_image_at_its_class_token() -> None:
    """In the last block, where the head reads no patch; in the first it is not.

    Along D the true curvature counts every position, K-FAC the class token alone.
    """
    model, (image, *_) = classifier(), images()
    rng = torch.Generator().manual_seed(0)
    for layer, same in ((1, True), (0, False)):
        (down,) = select(find_projections(model), [layer], ["down"])
        probabilities = model(pixel_values=image.pixels[None].double()).logits[0].softmax(-1)
        a = loop_rows(model, down, image, 0)[0][0]
        g = sum(
            p * torch.outer(row, row)
            for label, p in enumerate(probabilities.detach())
            for row in [loop_rows(model, down, image, label)[1][0]]
        )
        for _ in range(3):
            u, v = (torch.randn(n, generator=rng, dtype=torch.float64) for n in down.shape)
            along = rank_one(down.name, u, v).unit()
            unit = along.dense(down.name)
            kfac = float((unit * (g @ unit @ torch.outer(a, a))).sum())
            (exact,) = ggn_along(model, [down], [image], [along])
            assert bool(kfac == pytest.approx(exact[0], rel=1e-6)) is same


def test_rows_make_the_gradient_and_ekfac_sums_over_an_images_positions() -> None:
    model, shown = classifier(), images()
    projections = find_projections(model, attention=True)
    for rows in example_rows(model, projections, shown, labels="gold"):
        image = shown[rows.number]
        twin = copy.deepcopy(model).requires_grad_()
        logits = twin(pixel_values=image.pixels[None].double()).logits
        loss = cross_entropy(logits, torch.tensor([image.given]))
        slopes = torch.autograd.grad(loss, [p.parameter(twin) for p in projections])
        for p, slope in zip(projections, slopes, strict=True):
            assert torch.allclose(rows.g[p.name].T @ rows.a[p.name], slope, atol=1e-12)
    (up,) = select(projections, [0], ["up"])
    factors = collect(model, Images(shown, "all"), [up], labels="gold")
    made = bases(factors, [up])
    found = collect_ekfac(model, Images(shown, "all"), made, [up], labels="gold", batch_size=2)
    token, sequence = torch.zeros(up.shape).double(), torch.zeros(up.shape).double()
    for image in shown:
        a, g = loop_rows(model, up, image, image.given)
        a, g = a @ made[up.name].u_a, g @ made[up.name].u_g
        token += g.square().T @ a.square() / factors.count
        sequence += (g.T @ a).square() / factors.count
    assert_close(found[up.name].token, token, 1e-10)
    assert_close(found[up.name].sequence, sequence, 1e-10)
    for number, inputs in example_inputs(model, [up], shown):
        assert_close(inputs[up.name], loop_rows(model, up, shown[number], 0)[0][:1])


@BOTH
def test_an_edit_cuts_its_own_copy(positions: Positions) -> None:
    model, shown = classifier(), images(40)
    projections = find_projections(model)
    before = weight_digest(model)
    made = bases(collect(model, Images(shown, positions), projections), projections)
    edited, report = Editor(model, made, projections, "kfac").at(0.9)
    pixels = shown[0].pixels[None].double()
    with torch.no_grad():
        moved = edited(pixel_values=pixels).logits - model(pixel_values=pixels).logits
    assert 0 < report.directions_kept < report.directions_total
    assert float(moved.abs().max()) > 1e-3
    assert weight_digest(model) == before


@pytest.mark.parametrize(
    ("family", "cls"),
    [
        ("vit", True),
        ("deit", True),
        ("vit_msn", True),
        ("dinov2", True),
        ("dinov2_with_registers", True),
        ("beit", False),  # reads the mean of the patches
        ("data2vec-vision", False),
        ("ijepa", False),  # has no class token
    ],
)
def test_other_families_are_read_by_structure(family: str, cls: bool) -> None:
    model, shown = classifier(family), images(4)
    projections = find_projections(model)
    assert [(p.layer, p.kind) for p in projections] == [
        (layer, kind) for layer in (0, 1) for kind in ("up", "down")
    ]
    rows = next(iter(example_rows(model, projections, shown[:1], labels="gold")))
    loop = loop_rows(model, projections[0], shown[0], shown[0].given)
    assert_close(
        rows.g[projections[0].name].T @ rows.a[projections[0].name], loop[1].T @ loop[0], 1e-10
    )
    if cls:
        assert collect(model, Images(shown), projections).count == len(shown)
    else:
        with pytest.raises(HillshadeError, match="not read off a class token"):
            collect(model, Images(shown), projections)


def test_convolutions_are_refused_by_name() -> None:
    for family in ("resnet", "convnext"):
        model = classifier(family, hidden_sizes=[8, 16], depths=[1, 1])
        with pytest.raises(UnsupportedModelError, match=r"stages|hidden_size"):
            find_projections(model)


def test_unusable_images_are_answered_by_a_sentence() -> None:
    model, shown = classifier(), images()
    up = select(find_projections(model), [0], ["up"])
    small = Image("s", "choose", torch.zeros(1, 4, 4), 0)
    stranger = Image("s", "choose", torch.zeros(1, 8, 8), CLASSES)
    for some, sentence in (
        ([], "no image"),
        ([small], "cannot read images"),
        ([*shown, small], "to one size"),
        ([stranger], "knows 10 classes"),
    ):
        with pytest.raises(HillshadeError, match=sentence):
            collect(model, Images(some), up)
    with pytest.raises(HillshadeError, match="give an image classifier images"):
        collect(model, TEXTS, up)
    language = tiny("olmo2")
    with pytest.raises(HillshadeError, match="use an image classifier"):
        collect(language, Images(shown), find_projections(language))
    with pytest.raises(HillshadeError, match="'cls' or 'all'"):
        Images(shown, "patches")  # type: ignore[arg-type]
    for pixels, sentence in ((torch.zeros(8, 8), "channels"), (torch.full((1, 2, 2), np.nan), "N")):
        with pytest.raises(HillshadeError, match=sentence):
            Image("s", "choose", pixels, 0)
