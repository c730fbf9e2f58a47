"""A study of a model and a text or images of one's own: collect, decompose, sweep, store.

    survey(Request(model="…", texts=Path("texts.txt"), out=Path("mine")), stages)

What is read is parted into what factors are collected on and what is only asked (`core.textdata`,
`core.imagedata`); of the latter one half sets the thresholds, and the other reports. With memorized
strings, or images known to be labelled wrongly, the projections and the setting are chosen on half
of them (`core.choose`) and reported on the other; without, K-FAC is swept on all projections and
only its price is known.

Nothing lies at `out` before the end, whatever happens. While factors are collected, a checkpoint
lies beside it from the first minute on.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from core.basis import Basis, bases, save_bases
from core.checkpoint import Checkpoint
from core.choose import NoCandidateError, choose
from core.data import Data, load, read_data
from core.edit import Editor
from core.errors import HillshadeError
from core.estimate import batch_of, passes, room_beside, weights_of
from core.factors import Factors, collect
from core.given import given_factors, inputs_of, require_inputs
from core.model import device, load_skeleton
from core.places import writing
from core.projection import Projection, matrix_digest, weight_digest
from core.ranks import ALONE, Ranks
from core.request import TICKS, Config, Request, candidates
from core.sharding import bytes_here, sharded
from core.study import Axis, Manifest, ModelCard, StoredRecipe, StudyWriter
from core.sweep import Given, Swept, sweep

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MASS: Final = Axis("mass", "curvature mass kept")
KFAC: Final = "kfac"  # the one recipe, and its method


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
    tokenizer and data that are missing, empty or too little.
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
    model, data, projections = _loaded(request, again)
    factors = _collected(request, model, data, projections, ranks)
    bases(factors, projections, ranks=ranks)
    factors.gathered(ranks)


def _loaded(
    request: Request, again: Config | None, stages: Stages | None = None
) -> tuple[PreTrainedModel, Data[Any], tuple[Projection, ...]]:
    with _part(stages, "loading the model"):
        model, processor = load(request)
        if again is not None:
            again.require_model(model)
        projections = request.projections(model)
    with _part(stages, f"reading the {request.kind}") as show:
        data = read_data(request, model, processor, show)
        if again is not None:
            request.require_same(data.digest, again.data_digest)
            require_inputs(request, data, again)
    return model, data, projections


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
    data: Data[Given],
    projections: Sequence[Projection],
    ranks: Ranks,
    show: Callable[..., None] | None = None,
) -> Factors:
    dtype = None if request.dtype == "float32" else request.number_format
    seen = sharded(model, request.number_format) if request.shard else model
    factors = collect(
        seen,
        data.sample,
        projections,
        seed=request.seed,
        batch_size=batch_of(model, data.width),
        dtype=None if request.shard else dtype,
        passes=_passes(request, seen, data, projections, ranks),
        checkpoint=Checkpoint(request.checkpoint),
        ranks=ranks,
        progress=show,
    )
    if seen is model:
        return factors
    # Those of the weights before they were rounded, which the edits are made of.
    return replace(factors, digests={p.name: matrix_digest(p.weight(model)) for p in projections})


def _passes(
    request: Request,
    model: PreTrainedModel,
    data: Data[Given],
    projections: Sequence[Projection],
    ranks: Ranks,
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
    return passes(skeleton, projections, data.width, room, data.shape)


def _part(stages: Stages | None, name: str) -> AbstractContextManager[Callable[..., None] | None]:
    """A part that is told by the rank that leads."""
    return nullcontext(None) if stages is None else stages.part(name)


def _survey(
    request: Request, stages: Stages, writer: StudyWriter, ranks: Ranks, again: Config | None
) -> Path:
    model, data, projections = _loaded(request, again, stages)
    with stages.part("the unedited model"):
        original = data.exam.ask(model)  # before the long work: what cannot be read is said now
    with stages.part("factors") as show:
        if request.factors is None:
            factors = _collected(request, model, data, projections, ranks, show)
        else:
            factors = given_factors(request, request.factors, model)
            projections = factors.projections
    with stages.part("eigendecompositions") as show:
        made = bases(factors, projections, progress=show, ranks=ranks)
        factors = factors.gathered(ranks)
    edited: tuple[Projection, ...] = projections
    setting: float | None = None
    if data.chooses:
        with stages.part("choosing projections") as show:
            edited, setting = _chosen(model, made, projections, data, original, show)
    with stages.part("sweep") as show:
        swept = sweep(
            [Editor(model, made, edited, KFAC)],
            data.exam,
            original,
            settings=() if setting is None else (setting,),
            rises=data.rises,
            most=TICKS,
            progress=show,
        )
    with stages.part("writing"):
        recipe = _recipe(edited, setting, swept)
        _write(writer, data, swept, made, factors)
        return writer.finish(_manifest(request, model, data, factors, recipe))


def _chosen(
    model: PreTrainedModel,
    made: dict[str, Basis],
    projections: Sequence[Projection],
    data: Data[Given],
    original: Given,
    show: Callable[..., None],
) -> tuple[tuple[Projection, ...], float | None]:
    """Projections and setting from the choosing half; all of them where no cut costs so little."""
    try:
        best = choose(
            candidates(projections),
            lambda some: Editor(model, made, some, KFAC),
            data.exam,
            original,
            rise=data.tolerance,
            aim=data.aim,
            progress=show,
        ).best
    except NoCandidateError:
        return tuple(projections), None
    return tuple(p for p in projections if p.name in best.projections), best.setting


def _recipe(
    projections: Sequence[Projection], setting: float | None, swept: Swept[Given]
) -> StoredRecipe:
    return StoredRecipe(
        id=KFAC,
        method=KFAC,
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
    data: Data[Given],
    swept: Swept[Given],
    made: dict[str, Basis],
    factors: Factors,
) -> None:
    data.write(writer, KFAC, swept)
    writer.spectra({name: (basis.lam, basis.mu) for name, basis in made.items()})
    save_bases(writer.heavy("basis.safetensors"), made)
    factors.save(writer.heavy("factors.safetensors"))


def _convention(request: Request, data: Data[Given]) -> str:
    """How factors and cost are counted."""
    if request.factors is None:
        return f"Factors: {data.counted}. {data.cost} kept from the factors."
    return (
        f"Factors: another tool's, imported. {data.cost}; whether the factors saw them is not "
        "known."
    )


def _manifest(
    request: Request,
    model: PreTrainedModel,
    data: Data[Given],
    factors: Factors,
    recipe: StoredRecipe,
) -> Manifest:
    local = Path(request.model)
    return Manifest(
        model=ModelCard(
            id=str(local.resolve()) if local.exists() else request.model,
            weight_digest=weight_digest(model),
            architecture=type(model).__name__,
            parameters=model.num_parameters(),
        ),
        data_digest=data.digest,
        counts={"factor positions": factors.count, **data.counts},
        labels=factors.labels,
        convention=_convention(request, data),
        seed=request.seed,
        versions={"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("torch", "transformers", "numpy")},
        command=request.command,
        created=datetime.now(UTC).date().isoformat(),
        planted_share=None,
        noise_rate=None,
        recipes=(recipe,),
        request=request.plain(),
        inputs=inputs_of(request, data),
        scale=factors.scale,
    )
