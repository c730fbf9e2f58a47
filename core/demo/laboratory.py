"""One trained model with all that edits and questions need: choosing, sweeping, mixing factors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from core.basis import Basis, bases
from core.choose import Choice, choose
from core.demo.material import Material, material
from core.demo.progress import Parts
from core.demo.reported import Finished
from core.demo.stages import Stage
from core.demo.world import World, WorldConfig
from core.edit import Editor
from core.exam import Answers, Exam
from core.factors import Factors, collect
from core.projection import Projection, find_projections, select
from core.sweep import sweep

SEED: Final = 0
PLANTED_SHARE: Final = 0.001  # of the factor sample behind every recipe but the controls on it
OTHER_SHARES: Final = (0.0, 0.01, 0.2)
RISES: Final = (0.005, 0.01)  # of fresh-text perplexity, at which methods are compared
SEEDS: Final = 5  # of random pairs and noise
LAYERS: Final = ((3,), (2, 3), (1, 2, 3))
KINDS: Final = (("gate", "up"), ("gate", "up", "down"))
REASONING: Final = ("logic", "sums", "order", "open-book", "copying")
METHODS: Final = {
    "kfac": "K-FAC",
    "svd": "SVD",
    "magnitude": "Magnitude",
    "random": "Random pairs",
    "noise": "Noise",
}
TICKS: Final = {"kfac": 61, "svd": 24, "magnitude": 24, "random": 16, "noise": 16}


class Laboratory:
    """One trained model with everything that edits and questions need."""

    def __init__(self, config: WorldConfig, stage: Stage, parts: Parts) -> None:
        self.config, self.stage, self.parts = config, stage, parts
        self.model: PreTrainedModel = stage.model.requires_grad_(False)
        self.tokenizer: PreTrainedTokenizerFast = stage.tokenizer
        self.material: Material = material(World(config), stage.tokenizer, stage.counts)
        self.exam = Exam(
            self.material.items, self.material.fresh_choose, self.material.fresh_report
        )
        self.projections = find_projections(self.model)
        with parts.part("factors") as show:
            self.other = self._factors("other", self.material.factor_other, show)
            self.planted = self._factors("planted", self.material.factor_planted, show)
            self.bases = self.mixed_bases(PLANTED_SHARE)
        self.original: Answers = self.exam.ask(self.model)

    def _factors(
        self, name: str, rows: Sequence[Sequence[int]], show: Callable[[int, int], None]
    ) -> Factors:
        """Factors of these rows, kept beside the training they belong to for the other workers."""
        path = self.stage.folder / f"factors-{name}.safetensors"
        if path.is_file():
            return Factors.load(path)
        factors = collect(self.model, rows, self.projections, seed=SEED, progress=show)
        factors.save(path)
        return factors

    def mixed_bases(self, share: float) -> dict[str, Basis]:
        """Bases of factors with this share of planted text, mixed exactly."""
        return bases(self.other.mixed(self.planted, share), self.projections)

    def candidates(self) -> list[tuple[Projection, ...]]:
        """The sets of projections every method may choose among."""
        return [select(self.projections, layers, kinds) for layers in LAYERS for kinds in KINDS]

    def editor(
        self,
        method: str,
        projections: Sequence[Projection],
        bases: Mapping[str, Basis] | None = None,
        seed: int = 0,
    ) -> Editor[PreTrainedModel]:
        """An editor of the original model; its own bases unless others are given."""
        return Editor(self.model, bases or self.bases, projections, method, seed)

    def chosen(self, method: str) -> Choice:
        """Layers, projections and setting of a method, from the choosing half alone."""
        with self.parts.part(f"choosing {METHODS[method]}") as show:
            return choose(
                self.candidates(),
                lambda projections: self.editor(method, projections),
                self.exam,
                self.original,
                judged=REASONING,
                progress=show,
            )

    def swept(self, method: str, choice: Choice) -> Finished[Answers]:
        """A method's whole axis at its chosen place."""
        projections = self._named(choice)
        seeds = range(SEEDS if method in ("random", "noise") else 1)
        editors = [self.editor(method, projections, seed=seed) for seed in seeds]
        settings = (choice.best.setting,) if method == "kfac" else ()
        with self.parts.part(f"sweep {METHODS[method]}") as show:
            result = sweep(
                editors,
                self.exam,
                self.original,
                settings=settings,
                rises=RISES,
                most=TICKS[method],
                progress=show,
            )
        chosen = result.tick_of(settings[0]) if settings else max(result.equal.values(), default=0)
        return Finished(METHODS[method], choice, result, chosen)

    def swept_share(self, share: float, choice: Choice) -> Finished[Answers]:
        """K-FAC at the chosen place with another planted share of the factor sample."""
        editor = self.editor("kfac", self._named(choice), self.mixed_bases(share))
        with self.parts.part(f"sweep K-FAC, planted share {share:g}") as show:
            result = sweep([editor], self.exam, self.original, rises=RISES, most=16, progress=show)
        title = f"K-FAC, {share:.3g} of the factor sample planted"
        return Finished(title, choice, result, max(result.equal.values(), default=0))

    def _named(self, choice: Choice) -> tuple[Projection, ...]:
        return select(self.projections, choice.best.layers, choice.best.kinds)
