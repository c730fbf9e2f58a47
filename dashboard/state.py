"""The one threshold, everywhere: which study, which recipe, where it cuts, and what is in view.

All of it stands in the address (`?study=…&recipe=…&mass=…&projection=…`): a link reopens the view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.manifest import StoredRecipe
from core.study import Study
from dashboard import address, notices
from dashboard.figures.compare import nearest_cost
from dashboard.figures.measured import Measured
from dashboard.figures.palette import Theme

MASS = "mass"
_TICKS, _RECIPE, _VIEW = "hillshade_ticks", "hillshade_recipe", "hillshade_view"
_STUDY, _ASIDE = "hillshade_study", "hillshade_aside"
_OF_A_STUDY = (_TICKS, _RECIPE, "recipe", "projection")  # what is set of one study, and no other


@dataclass(frozen=True)
class View:
    """What every page shows of: one study at one recipe and tick, one projection in view."""

    study: Study
    measured: Measured
    recipe: StoredRecipe
    tick: int
    projection: str
    theme: Theme

    @property
    def setting(self) -> float:
        return self.recipe.ticks[self.tick]


def theme() -> Theme:
    """Light or dark, as the visitor's browser shows it."""
    return "dark" if st.context.theme.type == "dark" else "light"


def default_tick(recipe: StoredRecipe) -> int:
    """The chosen setting, else that at the smallest stored cost, else no edit."""
    if recipe.chosen is not None:
        return recipe.chosen
    return min(recipe.equal.items(), key=lambda pair: float(pair[0]))[1] if recipe.equal else 0


def resolve_tick(measured: Measured, recipe: StoredRecipe) -> int:
    """The tick in view: from the address, the last release, or the recipe just chosen."""
    memory = st.session_state
    ticks: dict[str, int] = memory.setdefault(_TICKS, {})
    before = memory.get(_RECIPE)
    wish = address.asked(MASS)
    if wish is not None:
        ticks[recipe.id] = _asked_tick(recipe, wish)
    elif before not in (None, recipe.id) or recipe.id not in ticks:
        ticks[recipe.id] = _same_cost(measured, before, recipe, ticks)
    memory[_RECIPE] = recipe.id
    tick = min(ticks[recipe.id], len(recipe.ticks) - 1)
    address.write(MASS, _in_address(recipe, tick), _in_address(recipe, default_tick(recipe)))
    return tick


def _in_address(recipe: StoredRecipe, tick: int) -> str:
    """The shortest number that names this tick and no other."""
    value = recipe.ticks[tick]
    shorter = (f"{value:.{digits}g}" for digits in range(1, 17))
    return next((said for said in shorter if recipe.tick_at(float(said)) == tick), repr(value))


def _asked_tick(recipe: StoredRecipe, asked: str) -> int:
    """The stored tick nearest to a mass from the address; a bad one is said and set aside."""
    if not asked:
        return default_tick(recipe)
    try:
        value = float(asked)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        notices.say(
            f"The address asks for mass={asked[:40]}, which is no number from 0 to 1; "
            "the chosen setting is shown instead."
        )
        return default_tick(recipe)
    return recipe.tick_at(value)


def _same_cost(
    measured: Measured, before: str | None, recipe: StoredRecipe, ticks: dict[str, int]
) -> int:
    """Another recipe was chosen: show it where it costs as much as the last one."""
    known = {r.id: r for r in measured.recipes}
    if before not in known or before not in ticks:
        return default_tick(recipe)
    costs = measured.cost(recipe)
    wanted = measured.cost(known[before]).value[ticks[before]]
    if not costs.known or not math.isfinite(wanted):
        return default_tick(recipe)
    return nearest_cost(costs.value, wanted)


def turn_to(study: str) -> None:
    """A study comes into view: what was set of another is laid aside until that one comes back.

    Recipes of two studies bear the same ids, and a tick of one means nothing in the other.
    """
    memory = st.session_state
    before = memory.get(_STUDY)
    if before == study:
        return
    memory[_STUDY] = study
    if before is None:
        return
    aside: dict[str, dict[str, Any]] = memory.setdefault(_ASIDE, {})
    aside[before] = {name: memory.pop(name) for name in _OF_A_STUDY if name in memory}
    for name, value in aside.pop(study, {}).items():
        memory[name] = value


def released() -> None:
    """The thumb was let go: keep its tick. Called by Streamlit before the page runs."""
    event = st.session_state.bar.release
    if isinstance(event, dict) and "recipe" in event and "tick" in event:
        st.session_state.setdefault(_TICKS, {})[str(event["recipe"])] = max(int(event["tick"]), 0)


def put(recipe: StoredRecipe, tick: int) -> None:
    """Set recipe and tick as if chosen by hand; from a callback, before the page runs."""
    memory = st.session_state
    memory["recipe"] = memory[_RECIPE] = recipe.id
    memory.setdefault(_TICKS, {})[recipe.id] = tick


def set_view(view: View) -> None:
    st.session_state[_VIEW] = view


def view() -> View:
    """The view of this run, for the pages."""
    current: View = st.session_state[_VIEW]
    return current
