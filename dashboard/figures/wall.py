"""The wall of wrongly labelled images, with what is said of each at every tick.

Pixels and labels travel once; per image the labels said are told as the ticks where they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.images import WRONG
from core.manifest import StoredRecipe
from core.pictures import Pictures
from dashboard.figures.describe import look_of
from dashboard.figures.measured import ANOTHER, SPLIT
from dashboard.figures.palette import style
from dashboard.figures.words import listing

SIDE = 16  # pixels of a thumbnail's longer side, at most
MOST_BYTES = 110_000  # of all thumbnails, two letters a pixel
MOST = 400  # tiles: as many as the builds store slices of
FIRST = 40  # tiles before the rest is asked for
REPRODUCED, RECOVERED = "reproduced", "recovered"
WORDS = {REPRODUCED: "wrong label", RECOVERED: "true label", ANOTHER: "another label"}


class Labelled(Protocol):
    """What the wall needs of a study of images."""

    @property
    def items(self) -> pd.DataFrame: ...
    @property
    def outputs(self) -> pd.DataFrame: ...
    @property
    def pictures(self) -> Pictures | None: ...


@dataclass(frozen=True)
class Tile:
    """One image: its thumbnail, the label it was given, what it shows, and what is said of it."""

    id: str
    pixels: NDArray[np.uint8]  # (height, width), 0 black to 255 white
    given: str
    true: str
    said: tuple[str, ...]  # at every tick

    def verdict(self, tick: int) -> str:
        """REPRODUCED, RECOVERED or ANOTHER."""
        label = self.said[tick]
        if label == self.given:
            return REPRODUCED
        return RECOVERED if label == self.true else ANOTHER


@dataclass(frozen=True)
class Wall:
    """Tiles in stored order, never picked by outcome; `count` are all there are."""

    id: str
    title: str
    recipe: str
    tiles: tuple[Tile, ...]
    count: int
    how: str
    alt: str

    def payload(self) -> dict[str, Any]:
        height, width = self.tiles[0].pixels.shape
        return {
            "id": self.id,
            "recipe": self.recipe,
            "size": [width, height],
            "first": FIRST,
            "verdicts": {
                key: {**look_of(key, style(key).name), "word": word} for key, word in WORDS.items()
            },
            "images": [
                {
                    "id": tile.id,
                    "pixels": tile.pixels.tobytes().hex(),
                    "given": tile.given,
                    "true": tile.true,
                    "said": _changes(tile),
                }
                for tile in self.tiles
            ],
        }

    def table(self, tick: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "image": [tile.id for tile in self.tiles],
                "label given": [tile.given for tile in self.tiles],
                "true label": [tile.true for tile in self.tiles],
                "said before": [tile.said[0] for tile in self.tiles],
                "said after": [tile.said[tick] for tile in self.tiles],
                "which is": [WORDS[tile.verdict(tick)] for tile in self.tiles],
            }
        )


def _changes(tile: Tile) -> list[list[Any]]:
    """The label said and its verdict, from each tick on at which it becomes another."""
    first: list[list[Any]] = [[0, tile.said[0], tile.verdict(0)]]
    return first + [
        [tick, label, tile.verdict(tick)]
        for tick, (before, label) in enumerate(pairwise(tile.said), start=1)
        if label != before
    ]


def wall(study: Labelled, recipe: StoredRecipe, tick: int) -> Wall | None:
    """The wrongly labelled images of the reporting half; None where none has its labels stored."""
    items, pictures = study.items.reset_index(drop=True), study.pictures
    if pictures is None:
        return None
    rows = items[(items["group"] == WRONG) & (items["split"] == SPLIT)]
    said = _said(study.outputs, recipe, rows["id"])
    names = _names(items, pictures)
    places = [place for place in rows.index if items.at[place, "id"] in said]
    if not places:
        return None
    thumbs = thumbnails(pictures.pixels[places])
    most = min(MOST, max(1, MOST_BYTES // (2 * thumbs[0].size)))
    tiles = tuple(
        Tile(
            str(items.at[place, "id"]),
            pixels,
            names[int(pictures.given[place])],
            names.get(int(pictures.true[place]), str(pictures.true[place])),
            said[str(items.at[place, "id"])],
        )
        for place, pixels in zip(places[:most], thumbs, strict=False)
    )
    return Wall(
        id="wall",
        title="Every wrongly labelled image" if len(places) <= most else "Image by image",
        recipe=recipe.id,
        tiles=tiles,
        count=len(places),
        how=_how(tiles, len(places), recipe),
        alt=wall_alt(tiles, tick),
    )


def wall_alt(tiles: Sequence[Tile], tick: int) -> str:
    """What the wall shows at a tick, as a sentence."""
    counts = {key: sum(tile.verdict(tick) == key for tile in tiles) for key in WORDS}
    said = listing([f"{count} as the {WORDS[key]}" if key != ANOTHER else f"{count} as another"
                    for key, count in counts.items()])  # fmt: skip
    return f"{len(tiles)} wrongly labelled images; said at this threshold: {said}."


def one_name(tile: Tile) -> str:
    """One image in a list: "image 426: given 0, shows 2"."""
    return f"{tile.id.replace('/', ' ')}: given {tile.given}, shows {tile.true}"


def one_alt(tile: Tile, tick: int) -> str:
    """One image in a sentence."""
    return (
        f"An image labelled {tile.given} that shows {tile.true}; the model says {tile.said[0]} "
        f"before the cut and {tile.said[tick]} at this threshold."
    )


def _how(tiles: Sequence[Tile], count: int, recipe: StoredRecipe) -> str:
    some = f" The first {len(tiles)} of {count} are shown." if len(tiles) < count else ""
    drawn = (
        f" This edit was drawn {len(recipe.seeds)} times: the pictures show the first, the shares "
        "above the mean."
        if len(recipe.seeds) > 1
        else ""
    )
    return (
        "Training gave each of these images the wrong label that stands first. Before is what the "
        "model says of it uncut, after what it says at this threshold. All are of the half that no "
        f"setting was chosen on, in the order in which they are stored.{some}{drawn}"
    )


def _said(
    outputs: pd.DataFrame, recipe: StoredRecipe, wanted: pd.Series
) -> dict[str, tuple[str, ...]]:
    """Image id -> the label said at every tick of the recipe."""
    rows = outputs[(outputs["recipe"] == recipe.id) & outputs["item"].isin(set(wanted))]
    found = {}
    for item, part in rows.sort_values("tick").groupby("item", observed=True, sort=False):
        if len(part) == len(recipe.ticks):
            found[str(item)] = tuple(part["output"].astype(str))
    return found


def _names(items: pd.DataFrame, pictures: Pictures) -> dict[int, str]:
    """The name of every class that was given to an image."""
    given = zip(pictures.given, items["truth"], strict=True)
    return {int(number): str(name) for number, name in given}


def thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (N, C, H, W) as grey ones (N, h, w) of at most SIDE pixels a side.

    Channels are averaged, and so are blocks of pixels where an image is larger.
    """
    grey = pixels.astype(np.float32).mean(axis=1)
    height, width = grey.shape[1:]
    block = -(-max(height, width) // SIDE)
    tall, wide = height // block, width // block
    cut = grey[:, : tall * block, : wide * block].reshape(len(grey), tall, block, wide, block)
    means: NDArray[np.float32] = cut.mean(axis=(2, 4))
    return np.rint(means).astype(np.uint8)
