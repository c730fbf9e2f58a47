"""`hillshade sweep`: methods over layers, projections and settings, and the best of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.commands.collect import Context, Json, Model, RemoteCode, Seed, numbers, stop, words
from core.commands.progress import say, stages
from core.errors import HillshadeError
from core.places import require_new_file, write_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.basis import Basis
    from core.choose import Trial
    from core.contest import Contest
    from core.ekfac import Ekfac
    from core.items import Item
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
        float, typer.Option(help="Rise of fresh-text perplexity that may be paid.")
    ] = 0.01,
    context: Context = None,
    seed: Seed = 0,
    json_: Json = False,
    remote_code: RemoteCode = False,
) -> None:
    """Find the best edit within a tolerance on one half of the data; report it on the other.

    Every method is tried at every set of layers, every set of projections and every setting on its
    own axis (curvature mass, or a share). Without --layers and --kinds: all layers and their upper
    half, with and without `down`. Methods of EK-FAC read the text of the study's factors once more.
    """
    require_new_file(out, ".json")
    if (study is None) == (factors is None):
        raise HillshadeError("Eigenvectors come from --study or from --factors; give one of them.")
    tried = words(methods)
    settings = None if masses is None else _settings(masses)
    if not 0.0 < tolerance < 10.0:
        raise HillshadeError(
            f"A rise of perplexity of {tolerance} is no tolerance; try 0.01 for 1 %."
        )
    corrects = _require_methods(tried, study)
    from core.contest import contest
    from core.edit import Editor
    from core.exam import Exam
    from core.fresh import fresh_of
    from core.model import load_to_work
    from core.study import Study

    signal.signal(signal.SIGTERM, stop)
    parts = stages(json_)
    with parts.part("loading the model"):
        loaded, tokenizer = load_to_work(
            model, download=not Path(model).exists(), remote_code=remote_code
        )
        opened = None if study is None else Study.open(study, loaded)
    with parts.part("eigenvectors") as show:
        made = _bases(opened, factors, loaded, show)
    with parts.part("reading the text"):
        candidates = _candidates(loaded, made, layers, kinds)
        items = _items(opened, strings, probes, tokenizer, seed)
        exam = Exam(tuple(items), *map(tuple, fresh_of(
            fresh, opened, loaded, tokenizer, seed, context
        )))  # fmt: skip
        original = exam.ask(loaded)
    corrected: dict[str, Ekfac] = {}
    if corrects and opened is not None:
        with parts.part("EK-FAC") as show:
            corrected = _corrected(opened, loaded, tokenizer, made, candidates, show)
    with parts.part("sweep") as show:
        found = contest(
            tried,
            candidates,
            lambda method, some, seed: Editor(loaded, made, some, method, seed, ekfac=corrected),
            exam,
            original,
            loaded,
            rise=tolerance,
            settings=settings,
            progress=show,
        )
    write_text(out, json.dumps(found.plain(), indent=1, allow_nan=False) + "\n")
    if json_:
        say(saved=str(out.resolve()), **found.plain())
    else:
        typer.echo("\n".join(table(found)))
        typer.echo(f"Every trial is in {out}.")


def table(found: Contest) -> list[str]:
    """What the reporting half says of each method's best trial, as lines."""
    lines = [
        f"On the reporting half, {found.unedited.recall.n} strings; chosen on the other half "
        f"within {found.rise:.2%} of perplexity.",
        _row("method", "layers", "projections", "setting", "perplexity", "strict", "loose",
             "weakest ability"),
        _row("unedited", "", "", "", "x 1.0000", *_measured([found.unedited])),
    ]  # fmt: skip
    for contender in found.contenders:
        best = contender.best
        if best is None:
            lines.append(f"{contender.method:<14}nothing tried keeps to the tolerance")
            continue
        ratio = sum(trial.ratio.value for trial in contender.reported) / len(contender.reported)
        where = ",".join(map(str, best.layers)), ",".join(best.kinds), f"{best.setting:.6g}"
        measured = _measured(contender.reported)
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


def _measured(trials: Sequence[Trial]) -> tuple[str, str, str]:
    """Strict and loose recall and the weakest ability, means over the seeds."""
    numbers = [[t.recall.value, t.loose.value, t.weakest()] for t in trials]
    strict, loose, weakest = (sum(column) / len(column) for column in zip(*numbers, strict=True))
    return f"{strict:.3f}", f"{loose:.3f}", f"{weakest:.3f}" if trials[0].abilities else "-"


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
                f"{method} reads the text of the factors once more, which a file of factors does "
                "not name; give --study."
            )
    return not IN_EKFAC.isdisjoint(methods)


def _corrected(
    study: Study,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    made: dict[str, Basis],
    candidates: Sequence[Sequence[Projection]],
    show: Callable[..., None],
) -> dict[str, Ekfac]:
    """Λ of every projection tried, with text, labels and seed of the study's factors."""
    from core.ekfac import collect_ekfac
    from core.estimate import batch_of
    from core.fresh import sample_of

    sample = sample_of(study, model, tokenizer)
    return collect_ekfac(
        model,
        sample,
        made,
        tuple(dict.fromkeys(projection for some in candidates for projection in some)),
        labels="gold" if study.manifest.labels == "gold" else "sampled",
        seed=study.manifest.seed,
        batch_size=batch_of(model, max(map(len, sample))),
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


def _items(
    study: Study | None,
    strings: Path | None,
    probes: Path | None,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
) -> list[Item]:
    from core.questions import read_probes
    from core.strings import read_strings

    items: list[Item] = []
    if strings is not None:
        items = read_strings(strings, tokenizer, seed)
    elif study is not None:
        items = list(study.item_list())
    if not any(item.kind == "memory" for item in items):
        raise HillshadeError("No memorized strings are known here; give --strings FILE.")
    if probes is not None:
        items = [item for item in items if item.kind == "memory"]
        items += read_probes(probes, tokenizer, seed)
    return items
