"""`hillshade import`: factors that another tool has collected, as a file of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from core.commands.collect import Json, RemoteCode
from core.commands.progress import say
from core.places import require_new_file, writing


def import_(
    source: Annotated[
        Path, typer.Argument(help="The paper's .pt, or a folder of kronfluence or bergson.")
    ],
    model: Annotated[str, typer.Option(help="Folder or hub id of the model they belong to.")],
    labels: Annotated[
        Literal["sampled", "gold"], typer.Option(help="Of the gradients; no file says it.")
    ],
    out: Annotated[Path, typer.Option(help="New .safetensors file for the factors.")],
    summed: Annotated[
        bool,
        typer.Option("--summed", help="Their loss was a sum over tokens, no mean over batches."),
    ] = False,
    json_: Json = False,
    remote_code: RemoteCode = False,
) -> None:
    """Read another tool's factors of a model; the only command that may open a .pt."""
    require_new_file(out, ".safetensors")
    from core.foreign import read_factors
    from core.model import load_model

    loaded = load_model(model, download=not Path(model).exists(), remote_code=remote_code)
    factors = read_factors(source, loaded, labels, summed=summed)
    with writing(out):
        factors.save(out)
    names = [projection.name for projection in factors.projections]
    if json_:
        counts = {"scale": factors.scale, "positions": factors.count}
        say(saved=str(out.resolve()), **counts, projections=names)
        return
    typer.echo(f"{len(names)} projections, {factors.count:,} positions, in {out}")
    if factors.scale == "unknown":
        typer.echo(
            "The scale of G is unknown: cuts and edits are right, absolute curvatures are not. "
            "Give --summed if their loss was a sum over tokens."
        )
