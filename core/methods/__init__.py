"""Ways to cut a weight matrix, each on its own axis: K-FAC, other scores of its pairs, controls.

Every method is prepared once for one W (p x q) and then answers any setting between 0 and 1 with a
`Cut`. Setting 1 means W itself for all of them. Pure mathematics: no model, no hooks, no files.
Matrices are computed in float32, or float64 for a float64 weight.

A further score is a further `PairMethod` in `core.methods.pairs`, added to `METHODS`.
"""

from core.methods.controls import Magnitude, Noise, Svd
from core.methods.pairs import (
    Coordinates,
    CorrectedSequence,
    CorrectedToken,
    KFac,
    MarginalSequence,
    MarginalToken,
    OnlyA,
    OnlyG,
    PairMethod,
    RandomPairs,
    WeightedKFac,
)
from core.methods.target import Cut, Method, Target

__all__ = [
    "IN_BASIS",
    "IN_EKFAC",
    "METHODS",
    "POOLED",
    "RANKED",
    "SEEDED",
    "Coordinates",
    "Cut",
    "Method",
    "PairMethod",
    "Target",
]

METHODS: dict[str, type[Method]] = {
    "kfac": KFac,
    "svd": Svd,
    "magnitude": Magnitude,
    "random": RandomPairs,
    "noise": Noise,
    "kfac_c2": WeightedKFac,
    "only_a": OnlyA,
    "only_g": OnlyG,
    "ekfac_token": CorrectedToken,
    "ekfac_sequence": CorrectedSequence,
    "marginal_token": MarginalToken,
    "marginal_sequence": MarginalSequence,
}
SEEDED = frozenset({"random", "noise"})
IN_EKFAC = frozenset({"ekfac_token", "ekfac_sequence", "marginal_token", "marginal_sequence"})
IN_BASIS = frozenset({"kfac", "random", "noise", "kfac_c2", "only_a", "only_g"}) | IN_EKFAC
RANKED = IN_BASIS - SEEDED  # by a score of the pairs: a band or a number of them can be asked for
POOLED = RANKED - {"only_a", "only_g"}  # scores that mean the same in every projection
