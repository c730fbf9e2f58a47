"""One trained classifier with all that edits and questions need: choosing and sweeping."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from transformers import PreTrainedModel

from core.basis import bases
from core.choose import Choice, choose
from core.demo.classifier import Classifier
from core.demo.digits import VisionConfig, as_images, digits
from core.demo.laboratory import METHODS
from core.demo.laboratory import SEEDS as DRAWS
from core.demo.reported import Finished
from core.edit import Editor
from core.factors import collect
from core.image_exam import AIM, RISES, ImageAnswers, ImageExam
from core.images import Images
from core.projection import ATTENTION_KINDS, Projection, find_projections, named, select
from core.sweep import Point, Swept, sweep

SEED: Final = 0
MLP: Final = ("up", "down")
PLACES: Final = (
    ((0, 1, 2), (*MLP, *ATTENTION_KINDS)),
    ((0, 1, 2), MLP),
    ((1, 2), MLP),
    ((0, 2), MLP),  # first and last, as in the paper
)
POOLED: Final = ("kfac",)  # one cut-off shares the cut out between MLP and attention by itself
TICKS: Final = {"kfac": 41, "svd": 20, "magnitude": 20, "random": 14, "noise": 14}


class VisionLaboratory:
    """One trained classifier with everything that edits and questions need."""

    def __init__(self, config: VisionConfig, trained: Classifier) -> None:
        self.config, self.trained = config, trained
        self.data = digits(config)
        self.model: PreTrainedModel = trained.model.requires_grad_(False)
        self.exam = ImageExam(self.data.images)
        self.projections = find_projections(self.model, attention=True)
        fresh = Images(as_images(self.data.fresh, self.data.preparation), "all")
        self.factors = collect(self.model, fresh, self.projections, seed=SEED)
        self.bases = bases(self.factors, self.projections)
        self.original: ImageAnswers = self.exam.ask(self.model)

    @property
    def labels(self) -> dict[int, str]:
        """The name of every class."""
        names = self.trained.model.config.id2label or {}
        return {int(number): str(name) for number, name in names.items()}

    def candidates(self) -> list[tuple[Projection, ...]]:
        """The sets of projections every method may choose among."""
        there = {projection.kind for projection in self.projections}
        return [
            select(self.projections, layers, [kind for kind in kinds if kind in there])
            for layers, kinds in PLACES
        ]

    def editor(
        self, method: str, projections: Sequence[Projection], seed: int = 0
    ) -> Editor[PreTrainedModel]:
        """An editor of the original model in its own bases."""
        pooled = method in POOLED
        return Editor(self.model, self.bases, projections, method, seed, pooled=pooled)

    def chosen(self, method: str) -> Choice:
        """Layers, projections and setting of a method, from the choosing half alone."""
        return choose(
            self.candidates(),
            partial(self.editor, method),
            self.exam,
            self.original,
            rise=max(RISES),
            aim=AIM,
        )

    def swept(self, method: str) -> Finished[ImageAnswers]:
        """A method's whole axis at the place chosen for it."""
        choice = self.chosen(method)
        seeds = range(DRAWS if method in ("random", "noise") else 1)
        settings = (choice.best.setting,) if method == "kfac" else ()
        result = sweep(
            [self.editor(method, self._named(choice), seed) for seed in seeds],
            self.exam,
            self.original,
            settings=settings,
            rises=RISES,
            most=TICKS[method],
        )
        chosen = result.tick_of(settings[0]) if settings else max(result.equal.values(), default=0)
        return Finished(METHODS[method], choice, result, chosen, method in POOLED)

    def at_chosen(self, method: str) -> Finished[ImageAnswers]:
        """A method before the edit and at the setting chosen for it, and nothing between."""
        choice = self.chosen(method)
        editor, setting = self.editor(method, self._named(choice)), choice.best.setting
        model, report = editor.at(setting)
        points = (
            Point(1.0, 0, editor.at(1.0)[1], self.original),
            Point(setting, 0, report, self.exam.ask(model)),
        )
        swept = Swept(self.original, (1.0, setting), points, {})
        return Finished(METHODS[method], choice, swept, 1, method in POOLED)

    def _named(self, choice: Choice) -> tuple[Projection, ...]:
        return named(self.model, choice.best.projections)
