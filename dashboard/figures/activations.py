"""Memorized against fresh text by their activations alone, as descriptions: detector and bands.

Read from a study's curvature.json (`core.curvature.detector`, `core.curvature.activation`);
sentences follow the intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.intervals import Estimate
from dashboard.figures.estimates import Forest, Line, Lines, Mark, Panel, Row, Scale, stored
from dashboard.figures.examples import Document
from dashboard.figures.spectrum import in_order, short
from dashboard.figures.words import count

PAPER_ACTIVATION = "+23 % in the bottom half and −26 % in the top tenth"


# -- detector --------------------------------------------------------------------------------------


def detector(document: Document) -> Forest:
    """AUC of the private share by projection, beside the loss and min-k %."""
    found = document["findings"]["detection"]
    looks = (
        ("memorized own", "All texts", "loss", "shares"),
        ("memorized others", "Texts in pairs of equal loss", "pairs_loss", "pairs_shares"),
        ("probes", "Tokens in pairs of equal loss", "tokens_loss", "tokens_shares"),
    )
    names = in_order(found["shares"])

    def marks(pick: str | None) -> tuple[Mark, ...]:
        raws = [found[loss] if pick is None else found[shares][pick] for *_, loss, shares in looks]
        return tuple(
            Mark(group, name, stored(raw))
            for (group, name, *_), raw in zip(looks, raws, strict=True)
            if raw is not None
        )

    rows = [
        Row("Baselines"),
        Row("loss", marks(None)),
        Row("min-k %", (Mark(looks[0][0], looks[0][1], stored(found["min_k"])),)),
        Row("Private share of the activations"),
        *(Row(short(name), marks(name)) for name in names),
    ]
    every = [mark.value for row in rows for mark in row.marks]
    low = min(0.45, *(e.low for e in every))
    return Forest(
        id="detector",
        title="Can memorized text be told without labels?",
        x=Scale("AUC, memorized against fresh", (low, 1.0), ticks=_auc_ticks(low)),
        rows=tuple(rows),
        guides=((0.5, "chance"),),
        how=(
            "AUC: the chance that a memorized string scores higher than a fresh text. The private "
            "share needs no label: it is how much of a projection's output comes from the "
            "flattest 60 % of its input directions, in a basis collected almost without these "
            "strings. Loss and min-k % know the true next token. Memorized text has a low loss, "
            "so a detector may only re-tell the loss; hence the two comparisons at equal loss: "
            f"{found['pairs']} pairs of texts whose mean losses differ by at most 0.1 nats, and "
            f"{count(found['tokens'])} pairs of tokens whose losses differ by at most 10 %. Only "
            "what exceeds the loss's own AUC there, turned to lie above ½, is evidence of more. "
            "Whiskers are 95 % intervals, each for one comparison; a mark is missing where too "
            "few texts are left."
        ),
        alt=_detector_alt(found, names),
    )


def _auc_ticks(low: float) -> tuple[tuple[float, str], ...]:
    ticks = ((0.0, "0"), (0.25, ".25"), (0.5, ".5"), (0.75, ".75"), (1.0, "1"))
    return tuple((at, name) for at, name in ticks if at >= low)


def _detector_alt(found: Document, names: Sequence[str]) -> str:
    shares = {name: stored(found["shares"][name]) for name in names}
    best = max(names, key=lambda name: shares[name].value)
    loss = stored(found["loss"])
    said = (
        f"Over all texts the private share reaches an AUC of {_auc(shares[best])} "
        f"({short(best)}, the best of {len(names)}), the loss {_auc(loss)}. "
    )
    if shares[best].low > loss.high:
        said += "There it tells memorized text better than the loss does. "
    elif shares[best].high < loss.low:
        said += "The loss tells memorized text better. "
    else:
        said += "Neither is told apart from the other. "
    return (
        f"{said}{_beyond(found, names, 'pairs', 'in pairs of texts of equal loss')} "
        f"{_beyond(found, names, 'tokens', 'in pairs of tokens of equal loss')}"
    )


def _beyond(found: Document, names: Sequence[str], kind: str, where: str) -> str:
    """In how many projections the share says more than the loss where losses are (nearly) equal."""
    loss = found[f"{kind}_loss"]
    known = {n: stored(raw) for n in names if (raw := found[f"{kind}_shares"][n]) is not None}
    if loss is None or not known:
        return f"{where[0].upper()}{where[1:]} nothing can be said: too few texts are left."
    left = stored(loss)
    hurdle = max(left.high, 1.0 - left.low)
    more = [name for name, auc in known.items() if auc.low > hurdle]
    said = f"{where[0].upper()}{where[1:]} the loss's own AUC is {_auc(left)}, and the share "
    if not more:
        return f"{said}exceeds it beyond the intervals in none of {len(known)} projections."
    return (
        f"{said}exceeds it beyond the intervals in {len(more)} of {len(known)} projections: there "
        "it knows something that the loss does not say."
    )


def _auc(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


# -- activation ------------------------------------------------------------------------------------


def activation(document: Document) -> Lines:
    """The activation ratio, memorized ÷ fresh, by band of input directions and by layer."""
    found: Sequence[Document] = document["findings"]["activation"]
    by_name = {str(part["projection"]): part for part in found}
    # gate and up read the same tensor: one of them stands for both.
    kept = [name for name in in_order(by_name) if not short(name).endswith(", gate")]
    kinds = list(dict.fromkeys(short(name).rpartition(", ")[2] for name in kept))
    bands = [str(band) for band in by_name[kept[0]]["bands"]]
    ratios = {name: [stored(e) for e in by_name[name]["ratios"]["marginal"]] for name in kept}
    every = [e for series in ratios.values() for e in series]
    span = (min(1.0, *(e.low for e in every)) / 1.1, 1.1 * max(1.0, *(e.high for e in every)))
    panels = []
    for kind in kinds:
        mine = [name for name in kept if short(name).endswith(f", {kind}")]
        inputs = "input of gate and up" if kind == "up" else f"input of {kind}"
        panels.append(
            Panel(
                Scale(f"{inputs}<br>memorized ÷ fresh", span, log=True),
                tuple(
                    Line(name, _LAYER_LOOKS[n % len(_LAYER_LOOKS)],
                         short(name).partition(", ")[0].capitalize(),
                         tuple(float(b) for b in range(len(bands))), tuple(ratios[name]),
                         place=n / max(len(mine) - 1, 1))
                    for n, name in enumerate(mine)
                ),
                guide=("1: alike", (-0.3, len(bands) - 0.7), (1.0, 1.0)),
            )
        )  # fmt: skip
    return Lines(
        id="activation",
        title="Where activations lie, by band and layer",
        x=Scale("input directions, by their curvature", (-0.3, len(bands) - 0.7),
                ticks=tuple((float(n), band) for n, band in enumerate(bands))),
        panels=tuple(panels),
        how=(
            "How strongly memorized strings write into four bands of A's eigendirections, from "
            "the steepest tenth to the flattest half, over how strongly fresh text does: mean "
            "‖U_A[:, band]ᵀa‖, memorized ÷ fresh, with 95 % intervals. Above 1 memorized text is "
            f"the stronger. The paper reports {PAPER_ACTIVATION} at layer 22 of OLMo-2 7B's 32. "
            "gate and up read the same input. The table has the same by layer."
        ),
        alt=_activation_alt(ratios, kept, bands),
    )  # fmt: skip


# A dash and a mark for layers in order, told a second time beside their colour.
_LAYER_LOOKS = ("logic", "sums", "facts", "order", "open-book", "unseen", "copying", "recited")


def _activation_alt(
    ratios: Mapping[str, Sequence[Estimate]], kept: Sequence[str], bands: Sequence[str]
) -> str:
    """The last layer in view, the outer bands; whether they go the paper's way."""
    last = max(kept, key=lambda name: (_layer(name), short(name).endswith(", up")))
    top, bottom = ratios[last][0], ratios[last][-1]
    if bottom.low > 1.0 and top.high < 1.0:
        way = "as in the paper: more in the flat directions and less in the steep ones"
    elif bottom.high < 1.0 and top.low > 1.0:
        way = "the other way round than in the paper"
    elif bottom.low > 1.0:
        way = "in part as in the paper: more in the flat directions, not less in the steep ones"
    elif top.high < 1.0:
        way = "in part as in the paper: less in the steep directions, not more in the flat ones"
    else:
        way = "not as in the paper: neither more in the flat directions nor less in the steep ones"
    return (
        f"In {short(last)}, memorized ÷ fresh is {_ratio(bottom)} in the flattest half and "
        f"{_ratio(top)} in the steepest tenth, {way}."
    )


def _layer(name: str) -> int:
    word = short(name).removeprefix("layer ").partition(", ")[0]
    return int(word) if word.isdigit() else -1


def _ratio(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
