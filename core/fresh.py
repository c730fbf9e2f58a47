"""Text that is kept from the factors: cut from a study's own, and found again for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import HillshadeError
from core.hub import of_hub
from core.request import FEWEST, FEWEST_FRESH, FRESH, Request, fresh_count, window_of
from core.textfile import Window, digest, held_out, read_windows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.study import Study

Halves = tuple[list[Window], list[Window]]  # to choose on, to report on


def kept_back(windows: Sequence[Window], context: int, seed: int) -> tuple[list[Window], Halves]:
    """The factor sample, and the two halves that are kept from it.

    Raises HillshadeError for too few different windows.
    """
    if len(set(windows)) < FEWEST:
        raise HillshadeError(
            f"The text makes {len(set(windows))} different windows of {context} tokens and at "
            f"least {FEWEST} are needed; give more text, or a smaller --context."
        )
    sample, to_choose, to_report = held_out(windows, fresh_count(len(windows)), seed)
    if len(to_choose) + len(to_report) < FEWEST_FRESH or not sample:
        raise HillshadeError(
            "The text repeats itself, so that no window can be kept from the factors; give a text "
            "without repetitions."
        )
    return sample, (to_choose, to_report)


def fresh_of(
    text: Path | None,
    study: Study | None,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    context: int | None = None,
) -> Halves:
    """Two halves of fresh text: of a file, or those that the study kept from its factors.

    A file is cut into windows as for a study, of which at most 64 are taken, by key. Without one
    the study's own text is read again where it lies, but never from the hub: whoever made the study
    named it. Raises HillshadeError where there is neither, or where that text has changed since.
    """
    if text is not None:
        windows = read_windows(text, tokenizer, window_of(model, context))
        _, to_choose, to_report = held_out(windows, FRESH, seed)
        if len(to_choose) + len(to_report) < FEWEST_FRESH:
            raise HillshadeError(
                f"{text} makes fewer than {FEWEST_FRESH} different windows; give more fresh text."
            )
        return to_choose, to_report
    if study is None or study.manifest.request is None:
        raise HillshadeError("Fresh text is needed, and none is known here; give --fresh FILE.")
    request = Request.from_plain(study.manifest.request, Path())
    if request.texts is None:
        raise HillshadeError("This study is of images, and no text belongs to it.")
    if of_hub(request.texts):
        raise HillshadeError(
            f"The study names its text as {request.texts}, and nothing is fetched because a study "
            "asks for it; if you trust it, give that with --fresh, or other text."
        )
    context = request.window(model)
    windows = read_windows(request.texts, tokenizer, context, request.tokens)
    request.require_same(digest(windows), study.manifest.data_digest)
    return kept_back(windows, context, request.seed)[1]
