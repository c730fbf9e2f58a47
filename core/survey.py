"""A study of a model and a text of one's own: collect, decompose, sweep, store.

    survey(Request(model="…", texts=Path("texts.txt"), out=Path("mine")), stages)

The factors are collected on windows of the text. A few windows are kept from them and only read:
half of these sets the thresholds, the other half reports perplexity. With memorized strings the
projections and the setting are chosen on half of the strings (`core.choose`) and reported on the
other; without, K-FAC is swept on all projections and only its price is known. Whether the model saw
the text in training is not known here: "fresh" means kept from the factors.

Nothing lies at `out` before the end, whatever happens. While factors are collected, a checkpoint
lies beside it from the first minute on.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import torch

from core import strings, textfile
from core.basis import Basis, bases, save_bases
from core.checkpoint import Checkpoint
from core.choose import NoCandidateError, choose
from core.edit import Editor
from core.errors import HillshadeError
from core.estimate import batch_of, passes, room_beside, weights_of
from core.exam import Answers, Exam
from core.factors import Factors, collect
from core.fresh import kept_back, require_same_text
from core.given import given_factors, inputs_of, require_inputs
from core.items import Item
from core.model import device, load_skeleton, load_to_work
from core.places import writing
from core.projection import Projection, matrix_digest, weight_digest
from core.ranks import ALONE, Ranks
from core.request import RISES, TICKS, Config, Request, candidates
from core.sharding import bytes_here, sharded
from core.study import Axis, Manifest, ModelCard, StoredRecipe, StudyWriter
from core.sweep import Swept, sweep
from core.swept import outputs_table, points_table, scores_table

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MASS: Final = Axis("mass", "curvature mass kept")
CONVENTION: Final = (
    "Factors: sums over all counted positions of a aᵀ and g gᵀ, g the gradient of the summed loss, "
    "labels sampled from the model; the last token of a window does not count. Perplexity: "
    "exp(mean token loss) over windows kept from the factors."
)

GIVEN: Final = (
    "Factors: another tool's, imported; whether they saw what is asked here is not known. "
    "Perplexity: exp(mean token loss) over windows."
)


class Stages(Protocol):
    """Where progress is told."""

    def part(self, name: str) -> AbstractContextManager[Callable[..., None]]:
        """Within, the yielded function takes (done, total, label) and may raise to cancel."""
        ...


def survey(
    request: Request, stages: Stages, ranks: Ranks = ALONE, again: Config | None = None
) -> Path:
    """Make the study, as the rank that leads; returns its folder. The others `assist`.

    With ``again`` it is a known study that is made again: another model or text is refused.
    Interrupted while the factors are collected, it goes on from `request.checkpoint` when it is
    called again. Raises HillshadeError, with a sentence that says what to do, before anything is
    computed where the output folder exists or cannot be written, and for a missing model or
    tokenizer and texts that are missing, empty or too short.
    """
    if request.out.exists():
        raise HillshadeError(f"{request.out} already exists; name a folder that does not.")
    _require_ranks(request, ranks)
    with writing(request.out), StudyWriter(request.out) as writer:
        path = _survey(request, stages, writer, ranks, again)
    Checkpoint(request.checkpoint).remove()
    return path


def assist(request: Request, ranks: Ranks, again: Config | None = None) -> None:
    """What a rank that does not lead does: its share of the factors and eigendecompositions."""
    _require_ranks(request, ranks)
    model, tokenizer, projections = _loaded(request, again)
    _, sample, _ = _read(request, model, tokenizer, again)
    factors = _collected(request, model, sample, projections, ranks)
    bases(factors, projections, ranks=ranks)
    factors.gathered(ranks)


def _loaded(
    request: Request, again: Config | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, tuple[Projection, ...]]:
    model, tokenizer = load_to_work(
        request.model,
        download=request.download,
        remote_code=request.remote_code,
        where=torch.device("cpu") if request.shard else None,
    )
    if again is not None:
        again.require_model(model)
    return model, tokenizer, request.projections(model)


def _read(
    request: Request,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    again: Config | None,
) -> tuple[Sequence[textfile.Window], list[textfile.Window], Exam]:
    """All windows, the factor sample, and what is asked."""
    context = request.window(model)
    windows = textfile.read_windows(request.texts, tokenizer, context, request.tokens)
    if again is not None:
        require_same_text(windows, again.data_digest, request.texts)
    sample, exam = _parted(request, windows, tokenizer, context)
    if again is not None:
        require_inputs(request, exam.items, again)
    return windows, sample, exam


def _require_ranks(request: Request, ranks: Ranks) -> None:
    if request.shard and ranks.size == 1:
        raise HillshadeError(
            "--shard parts a model among several processes; start them by torchrun, or leave it "
            "out."
        )
    if request.factors is not None and ranks.size > 1:
        raise HillshadeError(
            "With --factors there is nothing to share among processes; start one alone."
        )


def _collected(
    request: Request,
    model: PreTrainedModel,
    sample: Sequence[textfile.Window],
    projections: Sequence[Projection],
    ranks: Ranks,
    show: Callable[..., None] | None = None,
) -> Factors:
    dtype = None if request.dtype == "float32" else request.number_format
    seen = sharded(model, request.number_format) if request.shard else model
    factors = collect(
        seen,
        sample,
        projections,
        seed=request.seed,
        batch_size=batch_of(model, request.window(model)),
        dtype=None if request.shard else dtype,
        passes=_passes(request, seen, projections, ranks),
        checkpoint=Checkpoint(request.checkpoint),
        ranks=ranks,
        progress=show,
    )
    if seen is model:
        return factors
    # Those of the weights before they were rounded, which the edits are made of.
    return replace(factors, digests={p.name: matrix_digest(p.weight(model)) for p in projections})


def _passes(
    request: Request, model: PreTrainedModel, projections: Sequence[Projection], ranks: Ranks
) -> tuple[tuple[Projection, ...], ...] | None:
    """All projections at once, or as many as fit the CUDA device; their sums leave it pass by pass.

    Not on the processor, where all sums end in the same memory.
    """
    if device().type != "cuda":
        return None
    skeleton = load_skeleton(
        request.model,
        download=request.download,
        remote_code=request.remote_code,
        dtype=request.number_format,
    )
    weights = bytes_here(model)
    weights += 0 if request.shard else weights_of(skeleton)["weights rounded"]
    room = ranks.least(room_beside(weights))
    return passes(skeleton, projections, request.window(model), room)


def _survey(
    request: Request, stages: Stages, writer: StudyWriter, ranks: Ranks, again: Config | None
) -> Path:
    with stages.part("loading the model"):
        model, tokenizer, projections = _loaded(request, again)
    with stages.part("reading the text"):
        windows, sample, exam = _read(request, model, tokenizer, again)
        original = exam.ask(model)  # before the long work: what cannot be read is said now
        given = None if request.factors is None else given_factors(request, request.factors, model)
        projections = projections if given is None else given.projections
    with stages.part("factors") as show:
        factors = given or _collected(request, model, sample, projections, ranks, show)
    with stages.part("eigendecompositions") as show:
        made = bases(factors, projections, progress=show, ranks=ranks)
        factors = factors.gathered(ranks)
    edited: tuple[Projection, ...] = projections
    setting: float | None = None
    if exam.items:
        with stages.part("choosing projections") as show:
            edited, setting = _chosen(model, made, projections, exam, original, show)
    with stages.part("sweep") as show:
        swept = sweep(
            [Editor(model, made, edited, "kfac")],
            exam,
            original,
            settings=() if setting is None else (setting,),
            rises=RISES,
            most=TICKS,
            progress=show,
        )
    with stages.part("writing"):
        recipe = _recipe(edited, setting, swept)
        _write(writer, exam.items, swept, made, factors, tokenizer)
        return writer.finish(_manifest(request, model, windows, factors, exam, recipe))


def _parted(
    request: Request,
    windows: Sequence[textfile.Window],
    tokenizer: PreTrainedTokenizerBase,
    context: int,
) -> tuple[list[textfile.Window], Exam]:
    """The factor sample, and what is asked."""
    sample, (to_choose, to_report) = kept_back(windows, context, request.seed)
    items: list[Item] = []
    if request.strings is not None:
        items = strings.read_strings(request.strings, tokenizer, request.seed)
    return sample, Exam(tuple(items), tuple(to_choose), tuple(to_report))


def _chosen(
    model: PreTrainedModel,
    made: dict[str, Basis],
    projections: Sequence[Projection],
    exam: Exam,
    original: Answers,
    show: Callable[..., None],
) -> tuple[tuple[Projection, ...], float | None]:
    """Projections and setting from the choosing half; all of them where no cut costs so little."""
    try:
        best = choose(
            candidates(projections),
            lambda some: Editor(model, made, some, "kfac"),
            exam,
            original,
            progress=show,
        ).best
    except NoCandidateError:
        return tuple(projections), None
    return tuple(p for p in projections if p.name in best.projections), best.setting


def _recipe(
    projections: Sequence[Projection], setting: float | None, swept: Swept[Answers]
) -> StoredRecipe:
    return StoredRecipe(
        id="kfac",
        method="kfac",
        title="K-FAC",
        layers=tuple(sorted({p.layer for p in projections})),
        kinds=tuple(dict.fromkeys(p.kind for p in projections)),
        projections=tuple(p.name for p in projections),
        planted_share=None,
        seeds=(0,),
        axis=MASS,
        ticks=swept.ticks,
        chosen=None if setting is None else swept.tick_of(setting),
        equal={f"{rise:g}": tick for rise, tick in swept.equal.items()},
    )


def _write(
    writer: StudyWriter,
    items: Sequence[Item],
    swept: Swept[Answers],
    made: dict[str, Basis],
    factors: Factors,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    writer.items(items)
    writer.table("points", points_table("kfac", swept))
    writer.table("scores", scores_table("kfac", swept))
    writer.table("outputs", outputs_table("kfac", swept, lambda ids: str(tokenizer.decode([*ids]))))
    writer.spectra({name: (basis.lam, basis.mu) for name, basis in made.items()})
    save_bases(writer.heavy("basis.safetensors"), made)
    factors.save(writer.heavy("factors.safetensors"))


def _manifest(
    request: Request,
    model: PreTrainedModel,
    windows: Sequence[textfile.Window],
    factors: Factors,
    exam: Exam,
    recipe: StoredRecipe,
) -> Manifest:
    fresh = (*exam.fresh_choose, *exam.fresh_report)
    local = Path(request.model)
    return Manifest(
        model=ModelCard(
            id=str(local.resolve()) if local.exists() else request.model,
            weight_digest=weight_digest(model),
            architecture=type(model).__name__,
            parameters=model.num_parameters(),
        ),
        data_digest=textfile.digest(windows),
        counts={
            "factor positions": factors.count,
            "windows": len(windows),
            "windows kept from the factors": len(fresh),
            "tokens kept from the factors": sum(map(len, fresh)),
            "memorized strings": len(exam.items),
        },
        labels=factors.labels,
        convention=CONVENTION if request.factors is None else GIVEN,
        seed=request.seed,
        versions={"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("torch", "transformers", "numpy")},
        command=request.command,
        created=datetime.now(UTC).date().isoformat(),
        planted_share=None,
        noise_rate=None,
        recipes=(recipe,),
        request=request.plain(),
        inputs=inputs_of(request, exam.items),
        scale=factors.scale,
    )
