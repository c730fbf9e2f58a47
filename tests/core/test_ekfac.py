"""Both Λ against plain loops and against the factors; what the scores made of them keep."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.basis import Basis, bases
from core.edit import Editor
from core.ekfac import Ekfac, collect_ekfac, load_ekfac, save_ekfac
from core.errors import HillshadeError
from core.factors import Factors, collect
from core.methods import IN_EKFAC
from core.projection import Projection, find_projections, select
from core.rows import Tap, batches
from tests.tiny import TEXTS, tiny


class Setup:
    def __init__(self, family: str, labels: Any = "sampled") -> None:
        self.model: PreTrainedModel = tiny(family).eval()
        there = find_projections(self.model)
        self.projections: tuple[Projection, ...] = select(there, [there[-1].layer])
        options: dict[str, Any] = {"labels": labels, "seed": 3}
        self.factors: Factors = collect(self.model, TEXTS, self.projections, **options)
        self.bases: dict[str, Basis] = bases(self.factors, self.projections)
        self.ekfac: dict[str, Ekfac] = collect_ekfac(
            self.model, TEXTS, self.bases, self.projections, batch_size=2, **options
        )


@pytest.fixture(scope="module")
def olmo2() -> Setup:
    return Setup("olmo2")


def loop(setup: Setup, labels: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Λᵗᵒᵏ and Λˢᵉᑫ pair by pair, from one unpadded text at a time and no matrix product."""
    tap, count = Tap(setup.model, setup.projections), 0
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    for batch in batches(TEXTS, 1):
        a: dict[str, Tensor] = {}
        g: dict[str, Tensor] = {}
        tap.run(batch, TEXTS, a.__setitem__, g.__setitem__, labels=labels, seed=3)
        count += len(batch.rows)
        for p in setup.projections:
            basis = setup.bases[p.name]
            ga = (g[p.name] @ basis.u_g)[:, :, None] * (a[p.input_key] @ basis.u_a)[:, None, :]
            token, sequence = sums.get(p.name, (0, 0))
            sums[p.name] = token + (ga**2).sum(0), sequence + ga.sum(0) ** 2
    return {name: (token / count, sequence / count) for name, (token, sequence) in sums.items()}


@pytest.mark.parametrize("labels", ["sampled", "gold"])
@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_equal_to_a_plain_loop(family: str, labels: Any) -> None:
    setup = Setup(family, labels)
    for name, expected in loop(setup, labels).items():
        found = setup.ekfac[name]
        for ours, theirs in zip((found.token, found.sequence), expected, strict=True):
            assert ours.dtype == torch.float64
            assert float((ours - theirs).norm()) <= 1e-12 * float(theirs.norm())
        assert found.count == setup.factors.count
        # Two matrices: the terms between positions are not small.
        assert float((found.token - found.sequence).norm()) > 0.1 * float(found.token.norm())


def test_order_batches_and_repetition_change_nothing(olmo2: Setup) -> None:
    for texts, size in ((TEXTS[::-1], 1), (TEXTS * 2, 3)):
        again = collect_ekfac(
            olmo2.model, texts, olmo2.bases, olmo2.projections, seed=3, batch_size=size
        )
        for name, found in again.items():
            for kind in ("token", "sequence"):
                ours, theirs = getattr(found, kind), getattr(olmo2.ekfac[name], kind)
                assert float((ours - theirs).norm()) <= 1e-12 * float(theirs.norm())


def test_sums_over_a_row_or_column_are_those_of_the_rows(olmo2: Setup) -> None:
    """Σ_ij Λᵗᵒᵏ is the mean of |g|²|a|²; texts of one counted position make the two Λ equal."""
    pairs = [text[i : i + 2] for text in TEXTS for i in range(len(text) - 1)]
    single = collect_ekfac(olmo2.model, pairs, olmo2.bases, olmo2.projections)
    for found in single.values():
        assert torch.allclose(found.token, found.sequence, rtol=1e-12, atol=0.0)
    tap, total, count = Tap(olmo2.model, olmo2.projections), 0.0, 0
    (up,) = (p for p in olmo2.projections if p.kind == "up")
    for batch in batches(TEXTS, 8):
        a: dict[str, Tensor] = {}
        g: dict[str, Tensor] = {}
        tap.run(batch, TEXTS, a.__setitem__, g.__setitem__, seed=3)
        total += float((g[up.name].square().sum(1) * a[up.input_key].square().sum(1)).sum())
        count += len(batch.rows)
    assert float(olmo2.ekfac[up.name].token.sum()) == pytest.approx(total / count, rel=1e-12)


@pytest.mark.parametrize("method", sorted(IN_EKFAC))
def test_the_kept_pairs_are_the_best_of_the_score(olmo2: Setup, method: str) -> None:
    editor = Editor(olmo2.model, olmo2.bases, olmo2.projections, method, ekfac=olmo2.ekfac)
    for name, kept in editor.kept(0.8).items():
        found = olmo2.ekfac[name]
        score = (found.token if method.endswith("token") else found.sequence).numpy()
        if method.startswith("marginal"):
            score = np.outer(score.sum(1), score.sum(0)) / score.sum()
        mask = kept.mask()
        assert 0 < kept.count < mask.size
        assert score[mask].min() >= score[~mask].max() * (1 - 1e-12)
        assert score[mask].sum() / score.sum() == pytest.approx(kept.mass, rel=1e-12)
        assert kept.mass >= 0.8 > kept.mass - kept.step


def test_saved_and_loaded_bit_for_bit_and_refused_where_it_does_not_belong(
    olmo2: Setup, tmp_path: Path
) -> None:
    path = tmp_path / "ekfac.safetensors"
    save_ekfac(path, olmo2.ekfac)
    again = load_ekfac(path)
    for name, entry in olmo2.ekfac.items():
        assert again[name].digest == entry.digest
        assert torch.equal(again[name].token, entry.token)
    model, projections, made = olmo2.model, olmo2.projections, olmo2.bases
    other = bases(collect(model, TEXTS[:2], projections), projections)
    with pytest.raises(HillshadeError, match="in another basis"):
        Editor(model, other, projections, "ekfac_token", ekfac=again)
    with pytest.raises(HillshadeError, match="collect it in this basis first"):
        Editor(model, made, projections, "ekfac_token")
    with pytest.raises(HillshadeError, match="other weights"):
        collect_ekfac(tiny("olmo2", seed=1), TEXTS, made, projections)
    with pytest.raises(HillshadeError, match="no curvature basis"):
        collect_ekfac(model, TEXTS, {}, projections)
    with pytest.raises(HillshadeError, match="'sampled' or 'gold'"):
        collect_ekfac(model, TEXTS, made, projections, labels="exact")  # type: ignore[arg-type]


def test_cancelling_and_rows_too_large_leave_by_an_error() -> None:
    setup = Setup("gpt2")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_ekfac(setup.model, TEXTS, setup.bases, setup.projections, progress=stop)
    with torch.no_grad():
        setup.model.get_parameter("transformer.h.1.mlp.c_fc.bias")[0] = 1e200
    with pytest.raises(HillshadeError, match="not finite"):
        collect_ekfac(setup.model, TEXTS, setup.bases, setup.projections)
