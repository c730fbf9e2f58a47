"""What a study of a language model reads and asks: a text, and memorized strings if any are known.

A few windows of the text are kept from the factors and only read: half of these sets the
thresholds, the other half reports perplexity. Whether the model saw the text in training is not
known here: "fresh" means kept from the factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from core import strings, textfile
from core.contest import AIM
from core.exam import Answers, Exam
from core.fresh import kept_back
from core.items import Item
from core.request import RISES, Request
from core.swept import outputs_table, points_table, scores_table
from core.textfile import Window

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.study import StudyWriter
    from core.sweep import Swept

COUNTED: Final = (
    "sums over all counted positions of a aᵀ and g gᵀ, g the gradient of the summed loss, labels "
    "sampled from the model; the last token of a window does not count"
)


@dataclass(frozen=True)
class TextData:
    """Windows of a text, those of them that factors are collected on, and what is asked."""

    windows: Sequence[Window]
    sample: Sequence[Window]
    exam: Exam
    width: int
    decode: Callable[[Sequence[int]], str]

    counted: ClassVar[str] = COUNTED
    cost: ClassVar[str] = "Perplexity: exp(mean token loss) over windows"
    rises: ClassVar[tuple[float, ...]] = RISES
    tolerance: ClassVar[float] = RISES[-1]
    aim: ClassVar[float] = AIM
    shape: ClassVar[None] = None

    @property
    def chooses(self) -> bool:
        """Whether there are memorized strings."""
        return bool(self.exam.items)

    @cached_property
    def digest(self) -> str:
        """sha256 over all token ids."""
        return textfile.digest(self.windows)

    @property
    def inputs(self) -> Mapping[str, str]:
        """That of the strings, as they were read, where there are any."""
        return {"strings": strings.strings_digest(self.exam.items)} if self.exam.items else {}

    @property
    def counts(self) -> Mapping[str, int]:
        """Windows, tokens and strings."""
        fresh = (*self.exam.fresh_choose, *self.exam.fresh_report)
        return {
            "windows": len(self.windows),
            "windows kept from the factors": len(fresh),
            "tokens kept from the factors": sum(map(len, fresh)),
            "memorized strings": len(self.exam.items),
        }

    def write(self, writer: StudyWriter, recipe: str, swept: Swept[Answers]) -> None:
        """Items, points, scores and outputs."""
        writer.items(self.exam.items)
        writer.table("points", points_table(recipe, swept))
        writer.table("scores", scores_table(recipe, swept))
        writer.table("outputs", outputs_table(recipe, swept, self.decode))


def read_text_data(
    request: Request, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> TextData:
    """The text and strings of a request; HillshadeError for files missing, empty or too short."""
    assert request.texts is not None
    context = request.window(model)
    windows = textfile.read_windows(request.texts, tokenizer, context, request.tokens)
    sample, (to_choose, to_report) = kept_back(windows, context, request.seed)
    items: list[Item] = []
    if request.strings is not None:
        items = strings.read_strings(request.strings, tokenizer, request.seed)
    exam = Exam(tuple(items), tuple(to_choose), tuple(to_report))
    return TextData(windows, sample, exam, context, lambda ids: str(tokenizer.decode([*ids])))
