"""What the single examples of a study are, in words: findings are told alike of texts and images.

In a study of images wrongly labelled ones stand where memorized strings do in one of texts, rightly
labelled ones where fresh text does, and those kept from training where probes do
(`core.curvature.findings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.images import HELD_OUT, RIGHT
from dashboard.figures.palette import style


@dataclass(frozen=True)
class Kind:
    """Words for the pieces of a sentence, and names for the lines of a chart.

    first, second   the two groups whose own directions are walked, one of each and many
    mass            the second group as a whole, with its verbs: "fresh text feels", "does not"
    third           who else's rises are drawn along the first group's directions; "" for nobody's
    named           a line's key -> its look in the palette and its name, where they differ
    """

    example: str
    short: str
    unit: str
    first: str
    firsts: str
    like_first: str
    second: str
    seconds: str
    mass: str
    feel: str
    does_not: str
    third: str = ""
    named: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def look(self, key: str) -> str:
        """The palette's name of a line."""
        return self.named[key][0] if key in self.named else key

    def name(self, key: str) -> str:
        """What a line is called."""
        return self.named[key][1] if key in self.named else style(key).name

    @property
    def like_second(self) -> str:
        """The second group as an adjective: "fresh"."""
        return self.second.removesuffix(f" {self.example}")

    @property
    def rise(self) -> str:
        """The title of an axis of rises."""
        return f"rise of the loss ({self.unit})"


TEXTS = Kind(
    example="text",
    short="a string",
    unit="nats a token",
    first="memorized string",
    firsts="memorized strings",
    like_first="memorized",
    second="fresh text",
    seconds="fresh texts",
    mass="fresh text",
    feel="feels",
    does_not="does not",
    named={
        "memorized": ("memory", "Memorized strings"),
        "fresh": ("fresh own", "Fresh text"),
    },
)
IMAGES = Kind(
    example="image",
    short="an image",
    unit="nats an image",
    first="wrongly labelled image",
    firsts="wrongly labelled images",
    like_first="wrongly labelled",
    second="rightly labelled image",
    seconds="rightly labelled images",
    mass="rightly labelled images",
    feel="feel",
    does_not="do not",
    third="images kept from training",
    named={
        "memorized": ("memory", "Wrongly labelled images"),
        "fresh": (RIGHT, "Rightly labelled images"),
        "memorized own": ("memorized own", "The image itself"),
        "memorized others": ("memorized others", "Other wrongly labelled images"),
        "memorized to fresh": (RIGHT, "Rightly labelled images"),
        "memorized to probes": (HELD_OUT, "Images kept from training"),
        "fresh own": (RIGHT, "The image itself"),
        "fresh others": ("fresh own", "Other rightly labelled images"),
        "fresh to memorized": ("memorized own", "Wrongly labelled images"),
    },
)
