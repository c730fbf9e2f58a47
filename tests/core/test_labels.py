"""Keyed labels: the same draw for the same text everywhere, and the model's own distribution."""

import numpy as np
import torch

from core.labels import draw_labels, keyed_uniforms


def test_the_key_is_seed_text_position_and_draw() -> None:
    ids = (5, 3, 8, 8, 1)
    u = keyed_uniforms(7, ids)
    assert len(u) == 4
    assert np.array_equal(u, keyed_uniforms(7, list(ids)))
    for other in (keyed_uniforms(8, ids), keyed_uniforms(7, ids, draw=1)):
        assert not np.isin(u, other).any()
    assert not np.isin(u, keyed_uniforms(7, (5, 3, 8, 8, 2))).any()
    # Stored studies must stay reproducible: never change these.
    assert u.tolist() == [
        0.6539954379010651,
        0.48934523099076677,
        0.3231673424394653,
        0.1899919619607715,
    ]


def test_keyed_numbers_are_uniform_and_uncorrelated() -> None:
    u = np.concatenate([keyed_uniforms(0, (n, 1) * 50) for n in range(1000)])
    grid = np.sort(u)
    n = len(u)
    assert np.abs(grid - (np.arange(n) + 0.5) / n).max() < 1.95 / np.sqrt(n)  # KS, p = .001
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 4 / np.sqrt(n)


def test_labels_follow_the_softmax_and_never_the_impossible() -> None:
    logits = torch.tensor([-torch.inf, 2.0, -torch.inf, 0.0, 1.0, -torch.inf])
    n = 10_000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    counts = draw_labels(logits.expand(n, 6), u).bincount(minlength=6)
    assert (counts - n * logits.softmax(0)).abs().max() <= 1
    edges = torch.tensor([0.0, 1.0 - 2.0**-53], dtype=torch.float64)
    assert draw_labels(logits.expand(2, 6), edges).tolist() == [1, 4]
