"""Who is drawn how: one name, colour, dash and mark for every group, the same on every page.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; a dash and a mark say the
same thing a second time, so that nothing is told by colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Theme = Literal["light", "dark"]

# Cividis at seven equal steps, dark to light: perceptually even, and made for colour-blind eyes.
CIVIDIS: tuple[str, ...] = (
    "#00224e",
    "#26386f",
    "#52536c",
    "#7c7b78",
    "#a69d75",
    "#d3c164",
    "#fee838",
)


@dataclass(frozen=True)
class Style:
    """How one group looks. `dash` is a Plotly dash name, `mark` a Plotly marker symbol."""

    name: str
    light: str
    dark: str
    dash: str
    mark: str

    def colour(self, theme: Theme) -> str:
        return self.dark if theme == "dark" else self.light


@dataclass(frozen=True)
class Ink:
    """The colours of everything that is no data."""

    text: str
    muted: str
    grid: str
    paper: str
    boundary: str


STYLES: dict[str, Style] = {
    "memory": Style("Memorized strings", "#D55E00", "#F0762B", "solid", "circle"),
    "logic": Style("Logic", "#0072B2", "#4CA6E0", "solid", "square"),
    "sums": Style("Sums", "#009E73", "#1FBF92", "dash", "diamond"),
    "open-book": Style("Open-book facts", "#56B4E9", "#8CCBF1", "dashdot", "triangle-down"),
    "facts": Style("Closed-book facts", "#CC79A7", "#E09BC2", "dot", "triangle-up"),
    "order": Style("Order", "#E69F00", "#F0B53A", "longdash", "cross"),
    "copying": Style("Copying", "#6B6B6B", "#868686", "longdashdot", "x"),
    "abilities": Style("Abilities", "#0072B2", "#4CA6E0", "dash", "square"),
    "passage": Style("Passages", "#D55E00", "#F0762B", "solid", "circle"),
    "passage-loose": Style("Passages, loosely", "#D55E00", "#F0762B", "dot", "square"),
    "canary": Style("Numbers", "#A8480A", "#E8A077", "dash", "diamond"),
    "recited": Style("Recited works", "#8C4A1F", "#F2C3A2", "dot", "triangle-up"),
    "unseen": Style("Unseen passages", "#3B3B3B", "#D5D5D5", "longdash", "square"),
    "perplexity": Style("Fresh text", "#3B3B3B", "#D5D5D5", "solid", "circle"),
    "kfac": Style("K-FAC", "#D55E00", "#F0762B", "solid", "circle"),
    "svd": Style("SVD", "#0072B2", "#4CA6E0", "dash", "square"),
    "magnitude": Style("Magnitude", "#009E73", "#1FBF92", "dot", "diamond"),
    "random": Style("Random pairs", "#CC79A7", "#E09BC2", "dashdot", "triangle-up"),
    "noise": Style("Noise", "#6B6B6B", "#868686", "longdash", "x"),
    "memorized own": Style("The string itself", "#D55E00", "#F0762B", "solid", "circle"),
    "memorized others": Style("Other memorized strings", "#E69F00", "#F0B53A", "dash", "square"),
    "memorized to fresh": Style("Fresh text", "#3B3B3B", "#D5D5D5", "longdash", "diamond"),
    "fresh own": Style("The text itself", "#3B3B3B", "#D5D5D5", "longdash", "diamond"),
    "fresh others": Style("Other fresh texts", "#009E73", "#1FBF92", "dot", "triangle-up"),
    "fresh to memorized": Style("Memorized strings", "#D55E00", "#F0762B", "solid", "circle"),
    "probes": Style("Probes", "#0072B2", "#4CA6E0", "dashdot", "triangle-down"),
    "pin A": Style("A", "#D55E00", "#F0762B", "solid", "circle"),
    "pin B": Style("B", "#0072B2", "#4CA6E0", "dash", "square"),
    "own text": Style("Your text", "#009E73", "#1FBF92", "dashdot", "diamond"),
    "reproduced": Style("Wrong label said", "#D55E00", "#F0762B", "solid", "circle"),
    "recovered": Style("True label said", "#0072B2", "#4CA6E0", "dash", "square"),
    "another": Style("Another label said", "#6B6B6B", "#868686", "longdash", "x"),
    "right labels": Style("Right-label accuracy", "#009E73", "#1FBF92", "dot", "diamond"),
    "held out": Style("Held-out accuracy", "#CC79A7", "#E09BC2", "dashdot", "triangle-up"),
    "kept": Style("Kept", "#0072B2", "#4CA6E0", "solid", "square"),
    "cut": Style("Cut", "#6B6B6B", "#A8A8A8", "dot", "x"),
}

INK: dict[Theme, Ink] = {
    "light": Ink("#1E2A32", "#55626B", "#DFE1DC", "#FCFBF8", "#1E2A32"),
    "dark": Ink("#E9E6DF", "#A9B2B8", "#2C363E", "#12181D", "#E9E6DF"),
}

# The order of the paper's spectrum of abilities (its figure of edited over original accuracy),
# with the range it reports; None where the paper has no such ability.
PAPER_RANGES: dict[str, tuple[float, float] | None] = {
    "memory": (0.03, 0.16),
    "sums": (0.66, 0.75),
    "facts": (0.74, 0.86),
    "open-book": (0.93, 1.00),
    "logic": (0.95, 1.06),
    "order": None,
    "copying": None,
}
PAPER_NAMES: dict[str, str] = {
    "memory": "memory",
    "sums": "arithmetic",
    "facts": "closed-book facts",
    "open-book": "open-book facts",
    "logic": "logic",
}


def style(group: str) -> Style:
    """The look of a group; an unknown one gets its own name in neutral ink."""
    known = STYLES.get(group)
    return known or Style(group.replace("-", " ").capitalize(), "#3B3B3B", "#D5D5D5", "dash", "x")
