"""Abilities: does the model still answer what it was never shown?

A probe is right when its whole answer is said, closing full stop included: strict recall of the
truth. Abilities have different chance levels c, so what an edit leaves is reported raw and as the
share of the accuracy above chance that is kept,

    kept = (a' − c) / (a − c),   a before, a' after the edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import HillshadeError
from core.intervals import Estimate, share, wilson
from core.items import Item

__all__ = ["Ability", "abilities", "above_chance", "wilson"]

Bools = NDArray[np.bool_]

_DRAWS = 4000


@dataclass(frozen=True)
class Ability:
    """One row of the table of abilities.

    distinct  different questions among the items
    chance    mean accuracy of blind guessing
    before, after  accuracy of the original and of the edited model, Wilson's intervals
    kept      share kept above chance; None where the original is not clearly above chance
    """

    group: str
    distinct: int
    chance: float
    before: Estimate
    after: Estimate
    kept: Estimate | None


def above_chance(before: Bools, after: Bools, chance: float, seed: int = 0) -> Estimate | None:
    """The share kept above chance, (a' − c)/(a − c), with a paired 95 % interval.

    before, after: (n,) whether the same questions are answered right before and after. The interval
    is a paired Bayesian bootstrap (Rubin 1981): the shares of the four joint outcomes are drawn
    from a Dirichlet distribution with the counts + 1/2, so that a probe without a single change
    keeps an honest width; where nothing or everything is kept it is extended to the value itself.
    None if the lower Wilson bound of `before`, or any a that is drawn, does not exceed chance: then
    nothing is surely above chance that could be kept. `after` has no part in this.
    """
    original = share(before)
    both, lost = np.sum(before & after), np.sum(before & ~after)
    won, neither = np.sum(~before & after), np.sum(~before & ~after)
    rng = np.random.default_rng(seed)
    # The same Dirichlet draws in three independent parts: a, what stays right, what becomes right.
    a = rng.beta(both + lost + 1, won + neither + 1, _DRAWS)
    if original.low <= chance or a.min() <= chance:
        return None
    right = a * rng.beta(both + 0.5, lost + 0.5, _DRAWS)
    right += (1 - a) * rng.beta(won + 0.5, neither + 0.5, _DRAWS)
    low, high = np.quantile((right - chance) / (a - chance), [0.025, 0.975])
    value = (share(after).value - chance) / (original.value - chance)
    return Estimate(value, min(float(low), value), max(float(high), value), original.n)


def abilities(items: Sequence[Item], before: Bools, after: Bools) -> tuple[Ability, ...]:
    """The table of abilities, one row for each group of probes, in order of appearance.

    items: memorized strings among them are passed over; before, after: (n,) as in `above_chance`.
    Raises HillshadeError for a probe without a chance level.
    """
    groups = dict.fromkeys(item.group for item in items if item.kind == "probe")
    return tuple(_ability(group, items, before, after) for group in groups)


def _ability(group: str, items: Sequence[Item], before: Bools, after: Bools) -> Ability:
    members = [i for i, item in enumerate(items) if item.kind == "probe" and item.group == group]
    chances = [items[i].chance for i in members]
    known = [chance for chance in chances if chance is not None]
    if len(known) < len(members):
        raise HillshadeError(f'A probe of "{group}" states no chance level; give it one.')
    chance = float(np.mean(known))
    return Ability(
        group=group,
        distinct=len({items[i].prompt_ids for i in members}),
        chance=chance,
        before=share(before[members]),
        after=share(after[members]),
        kept=above_chance(before[members], after[members], chance),
    )
