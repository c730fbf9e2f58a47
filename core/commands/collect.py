"""`hillshade estimate` and `hillshade collect`: a study of a model and data of one's own."""

from __future__ import annotations

import signal
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.commands.progress import say, stages
from core.errors import HillshadeError
from core.hub import of_hub

if TYPE_CHECKING:
    from core.request import Request

_MODEL = typer.Argument(help="Folder of a transformers model, or its hub id.")
_TEXTS = typer.Option(help="Text in UTF-8, .jsonl of texts or ids, or hf:NAME:SPLIT:COLUMN.")
Model = Annotated[str, _MODEL]
Texts = Annotated[Path | None, _TEXTS]
ImageFolder = Annotated[
    Path | None,
    typer.Option(help="Of an image classifier: a folder, one sub-folder a class."),
]
ImageLabels = Annotated[
    Path | None,
    typer.Option(help="Labels of images, .csv of file,label,true; else labels.csv in the folder."),
]
Most = Annotated[int | None, typer.Option(help="Read so many images at most.")]
Positions = Annotated[
    Literal["all", "cls"] | None,
    typer.Option(help="Of an image that count: all by default, or its class token alone."),
]
Strings = Annotated[
    Path | None, typer.Option(help="Memorized strings, .jsonl of prefix and suffix.")
]
Layers = Annotated[str | None, typer.Option(help="Such as 23-25 or 0,2; all by default.")]
Kinds = Annotated[
    str | None,
    typer.Option(help="Of gate,up,down, all by default; and of q,k,v,o (qkv,o where fused)."),
]
Tokens = Annotated[int | None, typer.Option(help="Read so many tokens of the text at most.")]
Context = Annotated[
    int | None, typer.Option(help="Tokens a window; 512 or the model's limit by default.")
]
Seed = Annotated[int, typer.Option(help="Of the drawn labels and the halves.")]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON document, for scripts; progress on stderr.")
]
Dtype = Annotated[
    Literal["float32", "bfloat16"],
    typer.Option(help="Of weights and rows while factors are collected; sums are float32."),
]
RemoteCode = Annotated[
    bool,
    typer.Option("--remote-code", help="Run the model's own Python code; only if you trust it."),
]


def estimate(
    model: Model,
    texts: Texts = None,
    images: ImageFolder = None,
    strings: Strings = None,
    labels: ImageLabels = None,
    layers: Layers = None,
    kinds: Kinds = None,
    tokens: Tokens = None,
    context: Context = None,
    most: Most = None,
    positions: Positions = None,
    dtype: Dtype = "float32",
    json_: Json = False,
    remote_code: RemoteCode = False,
) -> None:
    """Say what collecting will take of memory, time and disk here; only config.json is needed."""
    from core.request import forecast

    here = Path()
    if texts is None and images is None:
        raise typer.BadParameter("--texts or --images is needed.")
    request = make_request(
        model, here, layers, kinds, texts=texts, images=images, strings=strings, labels=labels,
        tokens=tokens, context=context, most=most, positions=positions, dtype=dtype,
        remote_code=remote_code,
    )  # fmt: skip
    found = forecast(request)
    if json_:
        say(**found.as_dict())
        return
    for name, value in found.lines(here):
        typer.echo(f"{name:<8}{value}")


def collect(
    out: Annotated[Path, typer.Option(help="New folder for the study.")],
    model: Annotated[str | None, _MODEL] = None,
    texts: Texts = None,
    images: ImageFolder = None,
    strings: Strings = None,
    labels: ImageLabels = None,
    layers: Layers = None,
    kinds: Kinds = None,
    tokens: Tokens = None,
    context: Context = None,
    most: Most = None,
    positions: Positions = None,
    seed: Seed = 0,
    config: Annotated[
        Path | None,
        typer.Option(help="Make this study again: its folder, or its study.json."),
    ] = None,
    factors: Annotated[
        Path | None,
        typer.Option(help="Another tool's, as `import` writes them; else they are collected."),
    ] = None,
    dtype: Dtype = "float32",
    shard: Annotated[
        bool, typer.Option("--shard", help="Part the model among the processes (FSDP2).")
    ] = False,
    json_: Json = False,
    remote_code: RemoteCode = False,
) -> None:
    """Collect factors of a model on texts or images and store a study; first `estimate` it.

    With --config a study is made again with its own options; model and data are looked for where
    they lay then, or where MODEL, --texts, --strings, --images, --labels and --factors say that
    they lie now.

    Interrupted, the same command goes on where it was. Under torchrun or accelerate launch all
    processes share the work: torchrun --nproc-per-node 8 -m core.cli collect …
    """
    from core.ranks import joined
    from core.request import Config, Request
    from core.survey import assist, survey

    again = None
    places = {
        "texts": texts, "strings": strings, "images": images, "labels": labels, "factors": factors,
    }  # fmt: skip
    options = {"tokens": tokens, "context": context, "most": most, "positions": positions}
    if config is not None:
        given = any(value is not None for value in (layers, kinds, *options.values()))
        if given or seed or shard or dtype != "float32":
            raise HillshadeError(
                f"{config} says itself what is collected; leave out --layers, --kinds, --seed, "
                f"--dtype, --shard, {', '.join(f'--{name}' for name in options)}."
            )
        again = Config.read(config)
        moved = {"model": model} | places
        found = {name: place for name, place in moved.items() if place is not None}
        # code of others runs only where it is asked for now
        request = Request.from_plain(again.request, out, **found, remote_code=remote_code)
        _require_no_fetching(request, found)
    elif model is None or (texts is None and images is None):
        raise typer.BadParameter("MODEL and --texts or --images are needed, or --config.")
    else:
        request = make_request(
            model, out, layers, kinds, seed=seed, dtype=dtype, shard=shard,
            remote_code=remote_code, **places, **options,
        )  # fmt: skip
    signal.signal(signal.SIGTERM, stop)  # as Ctrl-C: whatever is half-written is removed
    try:
        with joined() as ranks:
            if not ranks.leads:
                assist(request, ranks, again)
                return
            path = survey(request, stages(json_), ranks, again)
    except KeyboardInterrupt:
        if request.checkpoint.exists():
            kept = f"What was collected so far is in {request.checkpoint}; "
            typer.echo(f"{kept}the same command goes on from there.", err=True)
        raise
    if json_:
        say(study=str(path.resolve()))
    else:
        typer.echo(f"The study is in {path}; show it: hillshade dashboard --study {path}")


def _require_no_fetching(request: Request, given: Collection[str]) -> None:
    """HillshadeError where a stored request would fetch what the command line does not name."""
    for name, option, place, far in (
        ("model", "as MODEL", request.model, request.download),
        ("texts", "with --texts", request.texts, of_hub(request.texts or "")),
    ):
        if far and name not in given:
            raise HillshadeError(
                f"The study names {place}, which is no place on this machine, and nothing is "
                f"fetched because a study asks for it; if you trust it, give that {option}."
            )


def make_request(
    model: str, out: Path, layers: str | None, kinds: str | None, **options: Any
) -> Request:
    """The request of these options, as a person types them; `options` as `Request` names them."""
    from core.request import Request

    return Request(
        model=model,
        out=out,
        layers=numbers(layers) if layers else None,
        kinds=words(kinds) if kinds else None,
        **options,
    )


def words(text: str) -> tuple[str, ...]:
    """Words as they are typed, with commas between them."""
    return tuple(word.strip() for word in text.split(","))


def numbers(text: str) -> tuple[int, ...]:
    """Layers as they are typed: 23-25, or 0,2, or both."""
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().partition("-")
        try:
            found += range(int(first), int(last if dash else first) + 1)
        except ValueError as error:
            raise HillshadeError(
                f"--layers {text} is no list of layers; write 23-25 or 0,2."
            ) from error
    return tuple(dict.fromkeys(found))


def stop(number: int, frame: FrameType | None) -> None:
    """Ends the command as Ctrl-C does."""
    raise KeyboardInterrupt
