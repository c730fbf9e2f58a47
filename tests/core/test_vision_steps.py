"""Steps of an image classifier's weights: losses, slices, spikes and maps, by weight copies."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from core.basis import bases
from core.curvature.bands import rank_bands
from core.curvature.maps import band_curvature, example_map
from core.curvature.spikes import gradients, own_directions, rises
from core.direction import Direction, rank_one
from core.errors import HillshadeError
from core.factors import collect
from core.images import RIGHT, WRONG, Image, Images
from core.landscape.restricted import RestrictedLoss
from core.landscape.slices import Line, cut
from core.landscape.spec import Compass, RaySpec
from core.landscape.texts import Texts
from core.projection import find_projections, select, weight_digest
from core.replay import Replay, Step
from tests.core.test_replay import copied, directions
from tests.vision import classifier, images


def losses(model: PreTrainedModel, shown: list[Image]) -> tuple[np.ndarray, np.ndarray]:
    """Loss of the given label and whether it is the argmax, one image at a time."""
    with torch.no_grad():
        logits = torch.cat([model(pixel_values=i.pixels[None].double()).logits for i in shown])
    given = torch.tensor([image.given for image in shown])
    right = logits.argmax(-1) == given
    return cross_entropy(logits, given, reduction="none").numpy(), right.numpy()


@pytest.mark.parametrize("family", ["vit", "dinov2", "data2vec-vision"])
@pytest.mark.parametrize("layers", [[0], [1], [0, 1]])
def test_steps_in_the_batch_equal_weight_copies(family: str, layers: list[int]) -> None:
    model, shown = classifier(family), images(70)  # more than one batch of 60
    before = weight_digest(model)
    kinds = ["up", "down", "q"] if family == "vit" else ["up", "down"]
    chosen = select(find_projections(model, attention="q" in kinds), layers, kinds)
    first, second = directions(chosen)
    steps: list[Step] = [(), [(first, 1.7)], [(second, -1.5)], [(first, -0.4), (second, 2.0)]]
    readout = Replay(model, chosen, shown).read(steps)
    for k, step in enumerate(steps):
        loss, right = losses(copied(model, chosen, step), shown)
        assert readout.loss[k] == pytest.approx(loss, abs=1e-10)
        assert readout.strict[k].tolist() == right.tolist()
        assert k == 0 or np.abs(readout.loss[k] - readout.loss[0]).max() > 1e-3
    assert weight_digest(model) == before


def test_spikes_rise_as_copies_do_and_slices_hold_them() -> None:
    model, shown = classifier(), images()
    (down,) = select(find_projections(model), [0], ["down"])
    own = own_directions(down.name, gradients(model, [down], shown)[down.name])
    found = rises(model, down, [own.direction(n) for n in range(len(own))], shown, [0.1])[0.1]
    size = 0.1 * float(down.weight(model).detach().norm())
    up = [losses(copied(model, [down], [(own.direction(n), size)]), shown)[0] for n in range(7)]
    assert found.up + found.base == pytest.approx(np.array(up), abs=1e-10)
    made = bases(collect(model, Images(shown, "all"), [down]), [down])
    compass = Compass(model, made, shown)
    texts = Texts.of_images(shown)
    assert texts.groups == (WRONG,) * 3 + (RIGHT,) * 4
    spike = compass.ray(RaySpec("spike", down.name, item="i1"))
    assert spike.direction.inner(own.direction(1)) == pytest.approx(1.0)
    line = Line(spike, [-0.1, 0.0, 0.1])
    slice_ = cut(model, [line], texts, bases=made)
    assert slice_.loss[2] == pytest.approx(np.array(up[1]), abs=1e-10)
    edge = rank_one(down.name, made[down.name].u_g[:, 0], made[down.name].u_a[:, 0])
    eigen = compass.ray(RaySpec("eigendirection", down.name, i=0, j=0))
    assert eigen.direction.inner(edge) == pytest.approx(1.0)
    assert texts.digest != Texts.of_images(shown[::-1]).digest


def test_maps_average_to_the_curvature_that_every_position_makes() -> None:
    """The sequence map of one draw is (uᵀ ∇_x v)² of its drawn label; bands are sums of maps."""
    model, shown = classifier(), images()
    (up,) = select(find_projections(model), [0], ["up"])
    made = bases(collect(model, Images(shown, "all"), [up]), [up])
    basis = made[up.name]
    whole = example_map(model, basis, up, shown[0], labels="gold", draws=1)
    twin = classifier().requires_grad_()
    logits = twin(pixel_values=shown[0].pixels[None].double()).logits
    loss = cross_entropy(logits, torch.tensor([shown[0].given]))
    (slope,) = torch.autograd.grad(loss, [up.parameter(twin)])
    assert torch.allclose(whole, (basis.u_g.T @ slope @ basis.u_a).square(), atol=1e-12)
    bands = {up.name: rank_bands(basis)}
    found = band_curvature(model, made, [up], shown, bands, draws=2)[up.name]
    assert found.sums.shape[0] == len(shown)
    one = example_map(model, basis, up, shown[2], draws=2)
    assert found.sums[2].sum() == pytest.approx(float(one.sum()))


def test_hessian_and_ggn_products_are_second_differences() -> None:
    model, shown = classifier(), images(5)
    (up,) = select(find_projections(model), [1], ["up"])
    loss = RestrictedLoss(model, [up], Texts.of_images(shown))
    vector = np.random.default_rng(0).normal(size=loss.size)
    vector /= np.linalg.norm(vector)
    along: Direction = loss.direction(vector)
    base, plus, minus = (
        losses(copied(model, [up], [(along, s)]), shown)[0].mean() for s in (0.0, 1e-3, -1e-3)
    )
    second = (plus - 2 * base + minus) / 1e-6
    assert vector @ loss.hessian(vector) == pytest.approx(second, rel=1e-4)
    assert vector @ loss.ggn(vector) > 0
    assert loss.read({})[0] == pytest.approx(losses(model, shown)[0], abs=1e-12)


def test_texts_and_images_are_not_read_together() -> None:
    model, shown = classifier(), images(2)
    texts = Texts.of_images(shown) + Texts.of_sequences([(1, 2)])
    with pytest.raises(HillshadeError, match="one or the other"):
        RestrictedLoss(model, find_projections(model), texts)
