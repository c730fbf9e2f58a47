"""`hillshade mine`: the strings of a corpus that a model recites, for `collect --strings`."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.commands.collect import Json, Model, RemoteCode, stop
from core.commands.progress import say, stages
from core.places import require_new_file, write_text

if TYPE_CHECKING:
    from core.mine import Mined


def mine(
    model: Model,
    texts: Annotated[
        list[Path],
        typer.Option(help="As for `collect`; may be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="New .jsonl file for the strings.")],
    prefix: Annotated[int, typer.Option(help="Tokens that the model is given.")] = 64,
    suffix: Annotated[int, typer.Option(help="Tokens that it must say.")] = 48,
    stride: Annotated[
        int | None, typer.Option(help="Tokens from window to window; one suffix by default.")
    ] = None,
    json_: Json = False,
    remote_code: RemoteCode = False,
) -> None:
    """Find the strings of a text that a model recites: the input of `collect --strings`."""
    require_new_file(out, ".jsonl")
    from core import mine as mining
    from core.model import load_to_work

    signal.signal(signal.SIGTERM, stop)
    parts = stages(json_)
    with parts.part("loading the model"):
        loaded, tokenizer = load_to_work(
            model, download=not Path(model).exists(), remote_code=remote_code
        )
    with parts.part("windows") as show:
        found = mining.mine(
            loaded, tokenizer, texts, prefix=prefix, suffix=suffix, stride=stride, progress=show
        )
    if found.strings:
        lines = [json.dumps(entry) + "\n" for entry in mining.records(found.strings, tokenizer)]
        write_text(out, "".join(lines))
    if json_:
        place = str(out.resolve()) if found.strings else None
        counts = {"windows": found.windows, "recited": found.recited, "copied": found.copied}
        say(**counts, kept=len(found.strings), strings=place)
    else:
        typer.echo(_said(found, out))


def _said(found: Mined, out: Path) -> str:
    if not found.strings:
        return f"{found}; there is nothing to write. Give more text, or shorter windows."
    return f"{found}, in {out}; use them: hillshade collect … --strings {out}"
