"""`hillshade import`: factors that another tool has collected, as a file of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from core.commands.collect import Json, RemoteCode
from core.errors import HillshadeError


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
    if out.suffix != ".safetensors":
        raise HillshadeError(f"Factors are safetensors; name {out} with the ending .safetensors.")
    if out.exists():
        raise HillshadeError(f"{out} already exists; name a file that does not.")
    if not out.resolve().parent.is_dir():
        raise HillshadeError(f"There is no folder {out.parent}; make it, or write elsewhere.")
    from core.foreign import read_factors
    from core.model import load_model

    loaded = load_model(model, download=not Path(model).exists(), remote_code=remote_code)
    factors = read_factors(source, loaded, labels, summed=summed)
    try:
        factors.save(out)
    except OSError as error:
        raise HillshadeError(
            f"{out} cannot be written ({error.strerror}); choose another place."
        ) from error
    names = [projection.name for projection in factors.projections]
    if json_:
        said = {"saved": str(out.resolve()), "scale": factors.scale, "positions": factors.count}
        typer.echo(json.dumps(said | {"projections": names}))
        return
    typer.echo(f"{len(names)} projections, {factors.count:,} positions, in {out}")
    if factors.scale == "unknown":
        typer.echo(
            "The scale of G is unknown: cuts and edits are right, absolute curvatures are not. "
            "Give --summed if their loss was a sum over tokens."
        )
