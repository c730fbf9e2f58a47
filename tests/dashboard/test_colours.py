"""Group colours for colour-blind eyes: apart in every simulation, or told apart without colour."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from dashboard.figures.palette import INK, STYLES, Theme

Floats = NDArray[np.float64]

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB; and eyes that see all.
EYES: dict[str, list[list[float]]] = {
    "all": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]
WHITE = [0.95047, 1.0, 1.08883]

# Groups that share one chart.
TOGETHER = {
    "recall": ("memory", "sums", "facts", "open-book", "logic", "order", "copying"),
    "memorized text": ("memory", "canary", "recited"),
    "controls": ("kfac", "svd", "magnitude", "random", "noise"),
    "memorized strings": ("memorized own", "memorized others", "memorized to fresh"),
    "fresh text": ("fresh own", "fresh others", "fresh to memorized"),
    "boundary": ("kept", "cut"),
    "labels": ("reproduced", "recovered", "another", "right labels", "held out"),
}
LEAST = 10.0  # a difference in Lab that is seen at a glance, lines being thin
LEAST_ON_PAPER = 30.0


def linear(colour: str) -> Floats:
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255.0
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(colour: str, eyes: str) -> Floats:
    """CIE L*a*b* (D65) of a colour as these eyes see it."""
    seen = np.clip(np.array(EYES[eyes]) @ linear(colour), 0.0, 1.0)
    ratio = np.array(TO_XYZ) @ seen / np.array(WHITE)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(one: str, other: str, eyes: str) -> float:
    return float(np.linalg.norm(lab(one, eyes) - lab(other, eyes)))


def test_lab_is_that_of_the_books() -> None:
    assert np.allclose(lab("#ffffff", "all"), [100, 0, 0], atol=0.01)
    assert np.allclose(lab("#ff0000", "all"), [53.24, 80.09, 67.20], atol=0.02)
    # Red and green of one lightness are one colour to eyes without green cones.
    assert apart("#c85000", "#7d7d00", "deutan") < 0.5 * apart("#c85000", "#7d7d00", "all")


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_groups_of_one_chart_stay_apart(theme: Theme, eyes: str) -> None:
    for chart, groups in TOGETHER.items():
        for one, other in itertools.combinations(groups, 2):
            distance = apart(STYLES[one].colour(theme), STYLES[other].colour(theme), eyes)
            assert distance >= LEAST, (chart, one, other, round(distance, 1))
        for group in groups:
            paper = apart(STYLES[group].colour(theme), INK[theme].paper, eyes)
            assert paper >= LEAST_ON_PAPER, (chart, group, round(paper, 1))


def test_no_group_is_told_by_colour_alone() -> None:
    for chart, groups in TOGETHER.items():
        for one, other in itertools.combinations(groups, 2):
            assert STYLES[one].mark != STYLES[other].mark, (chart, one, other)
            assert STYLES[one].name != STYLES[other].name, (chart, one, other)
