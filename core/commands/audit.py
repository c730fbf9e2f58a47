"""`hillshade audit`: what is left of the strings in the study's model after an edit."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from core.commands.collect import Json, stop
from core.commands.opened import editor_of, open_study, strings_of
from core.commands.progress import say, stages
from core.errors import HillshadeError
from core.places import require_new_file, write_text


def audit(
    study: Annotated[Path, typer.Argument(help="Study folder, with its eigenvectors.")],
    out: Annotated[Path, typer.Option(help="New .json file for all that was found.")],
    recipe: Annotated[str, typer.Option(help="A stored recipe, `check` lists them.")] = "kfac",
    mass: Annotated[
        float | None, typer.Option(help="What it keeps, 0 to 1; as chosen in the study.")
    ] = None,
    strings: Annotated[
        Path | None,
        typer.Option(
            help="Strings to ask for (.jsonl), without those it chose on; else its own to report."
        ),
    ] = None,
    fresh: Annotated[
        Path | None,
        typer.Option(help="Text without the strings to train on; else what the study kept back."),
    ] = None,
    tries: Annotated[int, typer.Option(min=1, help="Samples in which a string may come.")] = 100,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training on other text.")] = 64,
    json_: Json = False,
) -> None:
    """Ask an edited model for its strings in harder ways, and say what came back.

    By other prompts, by sampling, and after a little training on text that holds none of them.
    """
    require_new_file(out, ".json")
    from core.audit.relearning import Training
    from core.audit.report import Questions
    from core.audit.report import audit as ask
    from core.audit.table import rows
    from core.curvature.verdicts import plain
    from core.fresh import fresh_of
    from core.textfile import start_of

    signal.signal(signal.SIGTERM, stop)
    parts = stages(json_)
    with parts.part("loading the model"):
        opened = open_study(study, recipe)
    stored = opened.study.manifest.recipe(recipe)
    if mass is None and stored.chosen is None:
        raise HillshadeError(f'No setting of "{recipe}" was chosen; give --mass, such as .99.')
    assert mass is not None or stored.chosen is not None
    setting = mass if mass is not None else stored.ticks[stored.chosen or 0]
    with parts.part("reading the texts"):
        items = strings_of(opened, strings, json_)
        choose, report = fresh_of(
            fresh, opened.study, opened.model, opened.tokenizer, opened.study.manifest.seed
        )
    with parts.part("editing"):
        edited, made = editor_of(opened, recipe).at(setting)
    start = start_of(opened.tokenizer)
    questions = Questions(
        unrelated=[*choose, *report],
        start=start[0] if start else None,
        tries=tries,
        training=Training(steps=(0, *(2**n for n in range(steps.bit_length() - 1)), steps)),
    )
    with parts.part("audit") as show:
        found = ask(str(made), edited, opened.model, items, questions, progress=show)
    with parts.part("the unedited model"):
        table = rows(found, opened.model)
    document = {**found.plain(), "table": plain(table)}
    write_text(out, json.dumps(document, indent=1, allow_nan=False) + "\n")
    if json_:
        say(saved=str(out.resolve()), **document)
        return
    typer.echo(f"{found.about}\n{found.sentence}")
    typer.echo(f"{'a string comes back':<56}{'before':<20}after")
    for row in table:
        before, after = (
            f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" for e in (row.before, row.after)
        )
        typer.echo(f"{row.way:<56}{before:<20}{after}")
    typer.echo("".join(f"{line}\n" for line in found.prompts.partly) + f"Every string is in {out}.")
