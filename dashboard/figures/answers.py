"""The guided tour's questions, and the answers that a study gives to them.

Every answer is chosen by numbers and their intervals. Where these cannot say, no guess is right
and the sentence says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.curvature.verdicts import Verdict
from core.intervals import Estimate
from dashboard.figures import examples, shared
from dashboard.figures.estimates import INTERVAL, plain, stored, stored_verdict
from dashboard.figures.measured import Track
from dashboard.figures.spectrum import short
from dashboard.figures.texts import Row, marks
from dashboard.figures.words import count, percent

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """What a visitor is asked to guess: key of an option -> how it reads."""

    text: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """The option that is right here, None where the numbers cannot say; and what was seen."""

    right: str | None
    said: str


def compared(question: Question, answer: Answer, guess: str) -> str:
    """The visitor's guess beside the answer, in one line."""
    mine = f"You guessed “{question.options[guess]}”"
    if answer.right is None:
        return f"{mine}. Here the numbers cannot say."
    if answer.right == guess:
        return f"{mine}, and so it is here."
    return f"{mine}. Here it is: “{question.options[answer.right]}”."


# -- one: it recites -------------------------------------------------------------------------------

RECITES = Question(
    "How much of what followed in training will come back word for word?",
    {"none": "Hardly a word", "half": "About half", "most": "Nearly all", "all": "Every word"},
)


def recites(row: Row, memory: Track, unseen: Track) -> Answer:
    """How much of one continuation came back, and how often that is so."""
    pieces = marks(row.truth, row.outputs[0])
    words = len(row.truth.split())
    came = sum(len(text.split()) for text, same in pieces if same)
    part = came / max(words, 1)
    right = "none" if part < 0.25 else "half" if part < 0.75 else "most"
    here = f"{count(came)} of its {count(words)} words came back."
    if row.strict[0]:
        right, here = "all", "Every word came back."
    return Answer(right, f"{here} {_recited(memory, unseen)}")


def _recited(memory: Track, unseen: Track) -> str:
    """Whether strings shown often are recited, against strings never shown."""
    often = estimate(memory, 0)
    if not math.isfinite(often.value):
        return "How many others come back was not measured."
    said = f"{_hits(often)} memorized strings come back ({_span(often)})"
    never = estimate(unseen, 0)
    if math.isfinite(never.value):
        said += f", {_hits(never)} that were never shown ({_span(never)})"
        if often.low <= never.high:
            return f"{said}: by these numbers no more than without any training on them."
    if often.low > 0.5:
        return f"{said}: it recites."
    if often.high < 0.5:
        return f"{said}: it recites few of them."
    return f"{said}: whether it recites most of them stays undecided."


def estimate(track: Track, tick: int) -> Estimate:
    """One tick of a track."""
    return Estimate(track.value[tick], track.low[tick], track.high[tick], track.n)


def _hits(share: Estimate) -> str:
    hits = share.value * share.n
    if share.n and abs(hits - round(hits)) < 0.01:
        return f"{round(hits)} of {share.n}"
    return f"{percent(share.value)} of {share.n}"


def _span(e: Estimate) -> str:
    return f"{INTERVAL} {percent(e.low)} to {percent(e.high)}"


# -- two: what curvature is ------------------------------------------------------------------------

STEEPER = Question(
    "Step away from the bottom, equally far in two directions. How much more can the loss of "
    "fresh text rise in the one than in the other?",
    {"alike": "About as much", "some": "2 to 10 times as much", "lots": "More than 10 times"},
)


def steeper(sharp: Estimate, flat: Estimate, fraction: float) -> Answer:
    """Rises of the same text along sharp and along flat directions, compared by intervals."""
    rises = (
        f"a step of {fraction:g} ‖W‖ raises the loss of fresh text, in nats a token, by "
        f"{rise(sharp)} along the sharpest directions and by {rise(flat)} along those of "
        "memorized strings"
    )
    if sharp.low <= flat.high:
        head = "no steeper" if sharp.high < flat.low else "not told apart by the intervals"
        return Answer(None, f"The one is {head}: {rises}.")
    least = sharp.low / flat.high if flat.high > 0 else math.inf
    most = sharp.high / flat.low if flat.low > 0 else math.inf
    right = None
    if least > 10:
        right = "lots"
    elif least >= 2 and most <= 10:
        right = "some"
    elif most < 2:
        right = "alike"
    return Answer(right, f"{rises[0].upper()}{rises[1:]}. How steep the walls are is curvature.")


def rise(e: Estimate) -> str:
    """A rise of the loss with its interval; one around zero is said to be none that shows."""
    span = f"{nats(e.low)} to {nats(e.high)}"
    if e.low <= 0.0 <= e.high:
        return f"nothing that shows ({span})"
    return f"{nats(e.value)} ({span})"


def nats(value: float) -> str:
    """A loss in two digits, and never more than four places."""
    if abs(value) >= 0.0095:
        return plain(value)
    return f"{value:.4f}".rstrip("0").rstrip(".").replace("-", "−")


# -- three: one string's own direction -------------------------------------------------------------


def usual(document: Document) -> float:
    """The measured step nearest to the one at which the projection was chosen."""
    return min(examples.fractions(document), key=lambda at: abs(at - examples.USUAL))


WHOSE = Question(
    "Move the weights along the direction that is steepest for one memorized string. "
    "Whose loss will rise?",
    {
        "own": "Almost only its own",
        "memorized": "That of all memorized strings",
        "everyone": "That of fresh text as well",
    },
)


def whose(document: Document, projection: str, fraction: float) -> Answer:
    """By the two claims about a memorized string's own direction."""
    step = examples.step_of(examples.part_of(document, projection), fraction)
    fresh, others, _ = examples.verdicts(step)
    own, other, across = (rise(stored(step["medians"][key])) for key in examples.ALONG["memorized"])
    right = _whose(fresh, others)
    head = {
        "own": "A spike of its own",
        "memorized": "The other memorized strings feel it too",
        "everyone": "Fresh text feels it too, so it is no spike of the size that was claimed",
        None: "How far others feel it, the intervals cannot say",
    }[right]
    return Answer(
        right,
        f"{head}: at {fraction:g} ‖W‖ the loss of the string rises by {own}, that of other "
        f"memorized strings by {other}, that of fresh text by {across} nats a token.",
    )


def _whose(fresh: Verdict, others: Verdict) -> str | None:
    if fresh.holds is False:
        return "everyone"
    if fresh.holds and others.holds is not None:
        return "own" if others.holds else "memorized"
    return None


# -- four: the average -----------------------------------------------------------------------------

AVERAGE = Question(
    "Average the curvature over more and more fresh texts, and the sharpest of it falls like "
    "this. Where will the curve of memorized strings run?",
    {
        "below": "Below: they average away more",
        "on": "On it: no difference",
        "above": "Above: they average away less",
    },
)


def average(document: Document, projection: str) -> Answer:
    """By the claim about S(n), and whether the sharpest directions serve all kinds of text."""
    verdict = stored_verdict(examples.part_of(document, projection)["overlap"]["verdicts"][1])
    # An interval around 1 does not prove that there is no difference.
    right = {True: "below", False: "above", None: None}[verdict.holds]
    return Answer(right, shared.flattening(document, projection).alt)


# -- six: what no edit promises --------------------------------------------------------------------

LEFT = Question(
    "Ask for the same strings in other ways: other prompts, a hundred tries, a little training on "
    "other text. How many can still be got back?",
    {
        "none": "None at all",
        "same": "Only those its own prompt still gets",
        "more": "More than its own prompt gets",
    },
)


def left(document: Document) -> Answer:
    """What the residual audit got back of the strings it asked for."""
    anyhow, own = stored(document["got_back"]), stored(document["prompts"][0]["strict"])
    more = round(anyhow.value * anyhow.n) > round(own.value * own.n)
    right = "more" if more else "none" if anyhow.value == 0.0 else "same"
    return Answer(right, str(document["sentence"]))


def why(document: Document, noise: float | None) -> tuple[str, str]:
    """The two things that decide what a cut takes: how many use a direction, and how sure."""
    projection = str(document["findings"]["chosen"])
    part = examples.part_of(document, projection)
    step = examples.step_of(part, usual(document))
    fresh, _, _ = examples.verdicts(step)
    flattens = stored_verdict(part["overlap"]["verdicts"][1])
    if fresh.holds and flattens.holds:
        users = (
            "A memorized string's direction hardly touches fresh text, and in the average it "
            "flattens: such directions look flat, so the cut takes them first"
        )
    elif fresh.holds is False or flattens.holds is False:
        users = (
            "The usual reason, that hardly any other text uses a memorized string's directions, "
            "is not borne out by what was measured"
        )
    else:
        users = "Whether hardly any other text uses a memorized string's directions stays undecided"
    known = (
        ""
        if noise is None
        else f" In this model's training {percent(noise)} of all answers and words were wrong, so "
        "that it is not certain of any kind of text."
    )
    return (
        f"{users} (measured in {short(projection)}).",
        "Where the model is certain its gradient nearly vanishes, and what it uses there is called "
        f"flat too, reasoning included.{known}",
    )


def audited(document: Document) -> tuple[tuple[str, Estimate], ...]:
    """What one other way after the other gets back, as (name, share)."""
    rows = [("its own prompt", stored(document["prompts"][0]["strict"]))]
    rows += [("any prompt tried", stored(document["any_prompt"]))]
    rows += [(f"{count(int(document['tries']))} samples", stored(document["extractable"]))]
    rows += [("any way at all", stored(document["got_back"]))]
    return tuple(rows)
