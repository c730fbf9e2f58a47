"""Words of the theory in a sentence or two each, and the row of them that stands on a page.

The definitions are those of `core/README.md`, shorter. A page names its words in the order in
which it uses them; each opens on a click or a key and closes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True)
class Term:
    """A word as it stands in the row, and what it means."""

    name: str
    meaning: str


TERMS: dict[str, Term] = {
    "loss": Term(
        "Loss",
        "How surprised the model is by the next token of a text: minus the logarithm of the "
        "probability it gave to it, in nats. 0 is certain and right.",
    ),
    "perplexity": Term(
        "Perplexity",
        "exp(mean loss a token): among how many equally likely tokens the model is as unsure as "
        "here. Smaller is better; 1 is certain.",
    ),
    "memorized": Term(
        "Memorized string",
        "A prompt and the continuation that followed it in training. Here they were planted, so "
        "it is known how often each was shown.",
    ),
    "strict": Term(
        "Word for word (strict recall)",
        "The likeliest token, again and again, gives exactly the true continuation.",
    ),
    "loose": Term(
        "Loosely (loose recall)",
        "At most a quarter of the continuation's tokens must be changed, added or taken out to "
        "reach the true one (Levenshtein distance).",
    ),
    "wrong label": Term(
        "Wrong label",
        "A class given to an image in training that it does not show. Here they were drawn on "
        "purpose, so that which labels are wrong, and what is true, is known.",
    ),
    "repeats": Term(
        "Repeat class",
        "All strings shown equally often in training. The class shown most often is the headline.",
    ),
    "canary": Term(
        "Canary",
        "A made-up number planted in the training text: whether the model knows it can be "
        "measured exactly, because nobody else does.",
    ),
    "exposure": Term(
        "Exposure",
        "How far up a canary stands among numbers of the same form that were never shown: log₂ "
        "of their count minus log₂ of its rank, in bits.",
    ),
    "probe": Term(
        "Ability (probe)",
        "Questions of one kind with one right answer each: sums, logic, facts. Exact answers "
        "count, above what guessing gets.",
    ),
    "held-out": Term(
        "Held out",
        "Kept away from training, so that it cannot have been memorized. Settings are chosen on "
        "one half of the material and reported on the other.",
    ),
    "fresh": Term(
        "Fresh text",
        "Text that stood neither in the training nor in the sample curvature was taken from; in a "
        "study of your own only the second is known.",
    ),
    "interval": Term(
        "95 % interval",
        "Where the true value may lie, from so few examples. A claim holds where the whole "
        "interval lies inside it, fails where it lies outside, and is undecided otherwise.",
    ),
    "curvature": Term(
        "Curvature",
        "How steeply the loss rises to both sides when the weights are moved along one direction: "
        "½ · curvature · step². Flat is near zero.",
    ),
    "sharp": Term(
        "Sharp direction",
        "A direction in the weights along which a small step raises the loss much. An example's "
        "own sharp direction is the steepest one for that example alone.",
    ),
    "fisher": Term(
        "Fisher, GGN",
        "The average curvature as the model's own predictions make it, without the text's true "
        "tokens. For this loss the Fisher information and the generalised Gauss–Newton matrix "
        "are one; the Hessian is another.",
    ),
    "kfac": Term(
        "K-FAC",
        "An approximation of the Fisher of one weight matrix W by two small ones: A, of what "
        "enters W, and G, of the gradients that come back from behind it.",
    ),
    "eigendirection": Term(
        "Eigendirection",
        "uᵢvⱼᵀ, made of one eigenvector of G and one of A: a way to move the whole matrix. Its "
        "curvature is the product λᵢμⱼ of their eigenvalues.",
    ),
    "projection": Term(
        "Projection",
        "One weight matrix of the network, here of its feed-forward layers: gate, up or down. "
        "The projection in view changes what is shown, never what is cut.",
    ),
    "mass": Term(
        "Curvature mass",
        "The sum of the curvatures λᵢμⱼ of all directions of a matrix. Keeping 99 % means: from "
        "the sharpest down, as many as hold 99 % of it; the rest is cut.",
    ),
    "staircase": Term(
        "Staircase",
        "The kept directions in the grid of all pairs (i, j): row i keeps its first kᵢ, and "
        "further down never more.",
    ),
    "ndcg": Term(
        "nDCG@10",
        "How far the model's ten likeliest next tokens and their order are still those of before "
        "the cut: 1 is the same.",
    ),
    "averaged": Term(
        "S(n)",
        "The sharpest curvature of the average over n examples, each counted at length 1. It "
        "falls like 1/n where their directions are all apart and stays where they share one.",
    ),
    "share": Term(
        "Private share",
        "The part of what a matrix does at a position that lies in the flattest 60 % of A's "
        "eigendirections. It needs no labels.",
    ),
    "extractable": Term(
        "Extraction",
        "Getting a string out again by any prompt, by sampling many times, or after a little "
        "training on other text.",
    ),
}

# What each page uses, in the order in which it does.
WORDS: dict[str, tuple[str, ...]] = {
    "Spectrum": ("curvature", "eigendirection", "kfac", "fisher", "projection", "mass",
                 "staircase"),
    "Examples": ("memorized", "curvature", "sharp", "loss", "averaged", "share", "interval",
                 "fresh"),
    "Landscape": ("loss", "curvature", "sharp", "eigendirection", "fisher", "projection",
                  "strict", "interval"),
    "Recall": ("mass", "strict", "loose", "repeats", "canary", "probe", "held-out", "perplexity",
               "exposure", "interval"),
    "Vision": ("wrong label", "mass", "held-out", "curvature", "sharp", "eigendirection",
               "interval"),
    "Method": ("fisher", "kfac", "eigendirection", "mass", "staircase", "strict", "loose",
               "perplexity", "ndcg", "exposure"),
}  # fmt: skip


def show(names: Sequence[str]) -> None:
    """The words used here in one row; nothing where there are none."""
    if not names:
        return
    with st.container(key="glossary", horizontal=True, gap="small", vertical_alignment="center"):
        st.caption("Words used here", width="content")
        for name in names:
            with st.popover(TERMS[name].name, type="tertiary", width="content"):
                st.markdown(f"**{TERMS[name].name}**  \n{TERMS[name].meaning}")
