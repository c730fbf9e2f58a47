"""`hillshade sweep`: methods over layers, projections and settings, and the best of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.commands.collect import (
    Context,
    ImageLabels,
    Json,
    Model,
    RemoteCode,
    Seed,
    numbers,
    stop,
    words,
)
from core.commands.exams import Wanted
from core.commands.progress import say, stages
from core.errors import HillshadeError
from core.places import require_new_file, write_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from core.basis import Basis
    from core.choose import Trial
    from core.contest import Contest
    from core.ekfac import Ekfac
    from core.model import Processor
    from core.projection import Projection
    from core.study import Study


def sweep(
    model: Model,
    out: Annotated[Path, typer.Option(help="New .json file for all that was measured.")],
    study: Annotated[
        Path | None, typer.Option(help="Study with the eigenvectors and the strings.")
    ] = None,
    factors: Annotated[
        Path | None, typer.Option(help="Or factors alone, as `import` writes them.")
    ] = None,
    strings: Annotated[
        Path | None, typer.Option(help="Memorized strings (.jsonl); the study's by default.")
    ] = None,
    fresh: Annotated[
        Path | None, typer.Option(help="Text that no factor saw; the study's by default.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Of an image classifier: a folder to ask; the study's by default."),
    ] = None,
    labels: ImageLabels = None,
    probes: Annotated[
        Path | None, typer.Option(help="Questions with answers (.jsonl) that are to stay right.")
    ] = None,
    layers: Annotated[
        list[str] | None, typer.Option(help="One set to try, such as 23-25; may be repeated.")
    ] = None,
    kinds: Annotated[
        list[str] | None, typer.Option(help="One set to try, such as gate,up; may be repeated.")
    ] = None,
    masses: Annotated[
        str | None,
        typer.Option(help="Settings to try, such as .9,.99; else those the tolerance allows."),
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Such as kfac,svd,magnitude,random,ekfac_token.")
    ] = "kfac",
    tolerance: Annotated[
        float | None,
        typer.Option(help="Rise of perplexity (.01) or loss of accuracy (.03) that may be paid."),
    ] = None,
    context: Context = None,
    seed: Seed = 0,
    json_: Json = False,
    remote_code: RemoteCode = False,
) -> None:
    """Find the best edit within a tolerance on one half of the data; report it on the other.

    Every method is tried at every set of layers, every set of projections and every setting on its
    own axis (curvature mass, or a share). Without --layers and --kinds: all layers and their upper
    half, with and without `down`. Methods of EK-FAC read what the study collected on once more.
    """
    require_new_file(out, ".json")
    if (study is None) == (factors is None):
        raise HillshadeError("Eigenvectors come from --study or from --factors; give one of them.")
    tried = words(methods)
    settings = None if masses is None else _settings(masses)
    if tolerance is not None and not 0.0 < tolerance < 10.0:
        raise HillshadeError(
            f"A rise of perplexity of {tolerance} is no tolerance; try 0.01 for 1 %."
        )
    corrects = _require_methods(tried, study)
    from core import contest, image_exam
    from core.edit import Editor
    from core.model import is_classifier, load_classifier_to_work, load_to_work
    from core.request import RISES
    from core.study import Study

    signal.signal(signal.SIGTERM, stop)
    parts = stages(json_)
    where: Any = {"download": not Path(model).exists(), "remote_code": remote_code}
    shown = is_classifier(model, **where)
    wanted = Wanted(strings, probes, fresh, context, images, labels)
    with parts.part("loading the model"):
        loaded: PreTrainedModel
        processor: Processor
        if shown:
            loaded, processor = load_classifier_to_work(model, **where)
        else:
            loaded, processor = load_to_work(model, **where)
        opened = None if study is None else Study.open(study, loaded)
    with parts.part("eigenvectors") as show:
        made = _bases(opened, factors, loaded, show)
    with parts.part(f"reading the {'images' if shown else 'text'}"):
        candidates = _candidates(loaded, made, layers, kinds)
        exam: Any = wanted.exam(opened, loaded, processor, seed)
        original = exam.ask(loaded)
    corrected: dict[str, Ekfac] = {}
    if corrects and opened is not None:
        with parts.part("EK-FAC") as show:
            corrected = _corrected(opened, loaded, processor, made, candidates, show)
    with parts.part("sweep") as show:
        found = contest.contest(
            tried,
            candidates,
            lambda method, some, seed: Editor(loaded, made, some, method, seed, ekfac=corrected),
            exam,
            original,
            loaded,
            rise=tolerance or (image_exam.RISES if shown else RISES)[-1],
            aim=image_exam.AIM if shown else contest.AIM,
            settings=settings,
            progress=show,
        )
    write_text(out, json.dumps(found.plain(), indent=1, allow_nan=False) + "\n")
    if json_:
        say(saved=str(out.resolve()), **found.plain())
    else:
        typer.echo("\n".join(table(found, IMAGES if shown else STRINGS)))
        typer.echo(f"Every trial is in {out}.")


STRINGS = ("strings", "of perplexity", "perplexity", "strict", "loose", "weakest ability")
IMAGES = ("wrong labels", "of clean accuracy", "1 + lost", "wrong said", "true not said")


def table(found: Contest, words: Sequence[str] = STRINGS) -> list[str]:
    """What the reporting half says of each method's best trial, as lines."""
    asked, of_cost, *measures = words
    lines = [
        f"On the reporting half, {found.unedited.recall.n} {asked}; chosen on the other half "
        f"within {found.rise:.2%} {of_cost}.",
        _row("method", "layers", "projections", "setting", *measures),
        _row("unedited", "", "", "", "x 1.0000", *_measured([found.unedited], measures)),
    ]
    for contender in found.contenders:
        best = contender.best
        if best is None:
            lines.append(f"{contender.method:<14}nothing tried keeps to the tolerance")
            continue
        ratio = sum(trial.ratio.value for trial in contender.reported) / len(contender.reported)
        where = ",".join(map(str, best.layers)), ",".join(best.kinds), f"{best.setting:.6g}"
        measured = _measured(contender.reported, measures)
        lines.append(_row(contender.method, *where, f"x {ratio:.4f}", *measured))
    winner = found.winner
    if winner is not None and winner.best is not None:
        best = winner.best
        layers = ",".join(map(str, best.layers))
        lines.append(
            f"Best: {winner.method} at {best.setting:.6g}, layers {layers}, {'+'.join(best.kinds)}."
        )
    return lines


def _row(*cells: str) -> str:
    return "".join(f"{cell:<14}" for cell in cells).rstrip()


def _measured(trials: Sequence[Trial], measures: Sequence[str]) -> tuple[str, ...]:
    """Strict and loose recall and the weakest ability, means over the seeds; as many as asked."""
    numbers = [[t.recall.value, t.loose.value, t.weakest()] for t in trials]
    strict, loose, weakest = (sum(column) / len(column) for column in zip(*numbers, strict=True))
    cells = f"{strict:.3f}", f"{loose:.3f}", f"{weakest:.3f}" if trials[0].abilities else "-"
    return cells[: len(measures) - 1]  # the first is the cost


def _settings(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(word) for word in words(text))
    except ValueError as error:
        raise HillshadeError(f"--masses {text} is no list of numbers; write .9,.99.") from error
    if not all(0.0 <= setting < 1.0 for setting in found):
        raise HillshadeError(f"--masses {text} is impossible; give numbers from 0 to below 1.")
    return found


def _require_methods(methods: Sequence[str], study: Path | None) -> bool:
    """Refuse what is no method; whether one of them needs EK-FAC's Λ."""
    from core.methods import IN_EKFAC, METHODS

    for method in methods:
        if method not in METHODS:
            raise HillshadeError(f"There is no method {method}; choose {', '.join(METHODS)}.")
        if method in IN_EKFAC and study is None:
            raise HillshadeError(
                f"{method} reads what the factors were collected on once more, which a file of "
                "factors does not name; give --study."
            )
    return not IN_EKFAC.isdisjoint(methods)


def _corrected(
    study: Study,
    model: PreTrainedModel,
    processor: Processor,
    made: dict[str, Basis],
    candidates: Sequence[Sequence[Projection]],
    show: Callable[..., None],
) -> dict[str, Ekfac]:
    """Λ of every projection tried, from what the study collected on, with its labels and seed."""
    from core.data import read_again
    from core.ekfac import collect_ekfac
    from core.estimate import batch_of

    data = read_again(study, model, processor)
    return collect_ekfac(
        model,
        data.sample,
        made,
        tuple(dict.fromkeys(projection for some in candidates for projection in some)),
        labels="gold" if study.manifest.labels == "gold" else "sampled",
        seed=study.manifest.seed,
        batch_size=batch_of(model, data.width),
        progress=show,
    )


def _bases(
    study: Study | None, factors: Path | None, model: PreTrainedModel, show: Callable[..., None]
) -> dict[str, Basis]:
    """The study's eigenvectors, or those of the factors, decomposed here."""
    if study is not None:
        return {name: study.basis(name) for name in study.spectra()}
    from core.basis import bases
    from core.factors import Factors
    from core.projection import named

    assert factors is not None
    read = Factors.load(factors)
    wanted = named(model, [projection.name for projection in read.projections])
    return bases(read, wanted, progress=show)


def _candidates(
    model: PreTrainedModel,
    made: dict[str, Basis],
    layers: Sequence[str] | None,
    kinds: Sequence[str] | None,
) -> list[tuple[Projection, ...]]:
    """The sets of projections to try, among those with eigenvectors."""
    from core.projection import named, select
    from core.request import candidates

    there = named(model, made)
    if not layers and not kinds:
        return candidates(there)
    some = [numbers(text) for text in layers] if layers else [None]
    which = [words(text) for text in kinds] if kinds else [None]
    return [select(there, *one) for one in product(some, which)]
