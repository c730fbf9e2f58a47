"""What an edit costs, where nothing is known of what it takes: perplexity over the threshold."""

from __future__ import annotations

from core.manifest import StoredRecipe
from dashboard.figures.describe import Curves
from dashboard.figures.measured import Measured, axis_of
from dashboard.figures.recall import perplexity_panel
from dashboard.figures.words import change, setting


def price(study: Measured, recipe: StoredRecipe, tick: int) -> Curves:
    """Perplexity of text kept from the factors, edited over original, at every stored setting."""
    ratio = study.ratio(recipe)
    return Curves(
        id="price",
        title="What the edit costs",
        axis=axis_of(recipe),
        panels=(perplexity_panel(ratio, 1.0),),
        how=(
            "From left to right more is cut. Each point is a stored setting: by how much the edit "
            "raises perplexity of text kept from the factors, on a log axis; falls lie on the "
            "lower edge. The band is a 95 % interval over windows of text."
        ),
        alt=(
            f"At {setting(recipe.ticks[tick])} kept, perplexity changes by "
            f"{change(ratio.value[tick])} (95 % interval {change(ratio.low[tick])} to "
            f"{change(ratio.high[tick])})."
        ),
    )
