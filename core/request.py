"""What a study of one's own is made of: the options of ``hillshade collect``, and their price."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import torch

from core.errors import HillshadeError
from core.estimate import estimate, passes, room_beside, weights_of
from core.forecast import Forecast, Work
from core.hub import of_hub
from core.images import Positions
from core.machine import measured_speed
from core.manifest import MANIFEST, read_json
from core.model import device, load_skeleton, load_tokenizer, require_kind
from core.projection import ATTENTION_KINDS, Projection, find_projections, select, weight_digest
from core.textfile import count_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONTEXT: Final = 512  # tokens of a window, where the model reads as many
FRESH: Final = 64  # windows kept from the factors at most,
FRESH_SHARE: Final = 0.1  # and at most this share of them,
FEWEST_FRESH: Final = 4  # but so many, or a half has no spread to tell its interval from
FEWEST: Final = 8  # windows at all
RISES: Final = (0.005, 0.01)  # of fresh-text perplexity, as in the shipped study
TICKS: Final = 25
TRIALS: Final = 20  # readings of one candidate at most: bisection and settings
Dtype = Literal["float32", "bfloat16"]
_READ: Final = ("texts", "strings", "images", "labels")
_PATHS: Final = (*_READ, "factors")
_VALUES: Final = ("tokens", "context", "most", "positions")
_OF_TEXTS: Final = ("strings", "tokens", "context")
_OF_IMAGES: Final = ("labels", "most", "positions")


@dataclass(frozen=True)
class Request:
    """What is asked for: the options of ``hillshade collect``.

    model    a folder, or the id of a model on the Hugging Face hub
    layers, kinds  of the projections; None means all layers, and the maps of the MLP
    tokens   of the text at most; None reads all
    context  tokens of a window; None means 512, or the model's own limit if that is less
    factors  of another tool, as `hillshade import` writes them, in the place of one's own
    dtype    of weights and rows while factors are collected; sums are float32, answers too
    shard    whether the model lies in parts on several processes meanwhile (`core.sharding`)

    Of an image classifier, in the place of texts, strings, tokens and context:

    images   a folder (`core.imagefile`)
    labels   table of the labels given and true, where it is not in the folder
    most     images at most; None reads all
    positions  that count in the factors: "all" or "cls"; None means all
    """

    model: str
    texts: Path | None
    out: Path
    strings: Path | None = None
    layers: tuple[int, ...] | None = None
    kinds: tuple[str, ...] | None = None
    tokens: int | None = None
    context: int | None = None
    seed: int = 0
    remote_code: bool = False
    images: Path | None = None
    labels: Path | None = None
    most: int | None = None
    positions: Positions | None = None
    factors: Path | None = None
    dtype: Dtype = "float32"
    shard: bool = False

    def __post_init__(self) -> None:
        self._require_one_kind()
        numbers = (("tokens", self.tokens, 2), ("context", self.context, 2), ("most", self.most, 1))
        for name, value, least in numbers:
            if value is not None and value < least:
                raise HillshadeError(f"--{name} {value} is impossible; give {least} or more.")
        if self.texts is not None and of_hub(self.texts) and self.tokens is None:
            raise HillshadeError(
                f"Nobody knows how much text {self.texts} has; give --tokens, how many to read."
            )
        if self.factors is not None and (self.positions or self.shard or self.dtype != "float32"):
            raise HillshadeError(
                "--dtype, --shard and --positions say how factors are collected; leave them out "
                "beside --factors."
            )

    def _require_one_kind(self) -> None:
        if (self.texts is None) == (self.images is None):
            raise HillshadeError(
                "A study is of texts or of images; give --texts for a language model or --images "
                "for an image classifier, and not both."
            )
        kind, others = ("images", _OF_TEXTS) if self.images else ("texts", _OF_IMAGES)
        for name in others:
            if getattr(self, name) is not None:
                raise HillshadeError(
                    f"--{name} says nothing of {kind}; leave it out"
                    + ("." if kind == "texts" else ", and name wrong labels in --labels.")
                )

    @property
    def kind(self) -> str:
        """Of what is read: "text" or "images"."""
        return "text" if self.images is None else "images"

    @property
    def download(self) -> bool:
        """Whether the model is one of the hub: its id names no folder here."""
        return not Path(self.model).exists()

    @property
    def number_format(self) -> torch.dtype:
        """`dtype` as PyTorch knows it."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.dtype]

    @property
    def checkpoint(self) -> Path:
        """Where an interrupted collection goes on from (`core.checkpoint`)."""
        return self.out.with_name(self.out.name + ".checkpoint")

    @property
    def command(self) -> str:
        """The same as a command line, without what is left at its default."""
        words = ["hillshade", "collect", *self._words(), "--out", str(self.out)]
        words += [f"--seed={self.seed}"] if self.seed else []
        words += [] if self.factors is None else ["--factors", str(self.factors)]
        words += ["--shard"] if self.shard else []
        return shlex.join(words)

    @property
    def estimate_command(self) -> str:
        """The command line that tells what it takes."""
        return shlex.join(["hillshade", "estimate", *self._words()])

    def _words(self) -> list[str]:
        words = [self.model]
        for name in _READ:
            words += [] if getattr(self, name) is None else [f"--{name}", str(getattr(self, name))]
        if self.layers is not None:
            words += ["--layers", ",".join(map(str, self.layers))]
        if self.kinds is not None:
            words += ["--kinds", ",".join(self.kinds)]
        for name in _VALUES:
            words += [] if getattr(self, name) is None else [f"--{name}", str(getattr(self, name))]
        words += [] if self.dtype == "float32" else ["--dtype", self.dtype]
        words += ["--remote-code"] if self.remote_code else []
        return words

    def at(self, folder: Path) -> Request:
        """The same where all that is read, and the study, lie in `folder` under their names."""
        paths = {name: getattr(self, name) for name in (*_PATHS, "out")}
        moved = {name: folder / path.name for name, path in paths.items() if path is not None}
        return replace(self, **moved)

    def plain(self) -> dict[str, Any]:
        """For a file, without the place of the study; paths as they hold in any folder."""
        known = asdict(self)
        del known["out"]
        known["model"] = self.model if self.download else str(Path(self.model).resolve())
        for name in _PATHS:
            if known[name] is not None:
                here = known[name] if of_hub(known[name]) else known[name].resolve()
                known[name] = str(here)
        return known

    @classmethod
    def from_plain(cls, known: Mapping[str, Any], out: Path, **places: Any) -> Request:
        """The inverse of `plain`; ``places`` says where the model and what is read lie now."""
        values: dict[str, Any] = {**known, **places}
        try:
            for name in _PATHS:
                values[name] = None if values.get(name) is None else Path(values[name])
            for name in ("layers", "kinds"):
                values[name] = None if values[name] is None else tuple(values[name])
            return cls(out=out, **values)
        except (TypeError, KeyError) as error:
            raise HillshadeError(
                f"The stored request is not complete ({error}); give the options themselves."
            ) from error

    def projections(self, model: PreTrainedModel) -> tuple[Projection, ...]:
        """The projections asked for; HillshadeError for a layer or kind that is not there."""
        attention = not set(ATTENTION_KINDS).isdisjoint(self.kinds or ())
        return select(find_projections(model, attention=attention), self.layers, self.kinds)

    def window(self, model: PreTrainedModel) -> int:
        """Tokens of a window; HillshadeError for more than the model reads."""
        return window_of(model, self.context)

    def require_same(self, digest: str, wanted: str) -> None:
        """HillshadeError where what the request names has another digest than a study says."""
        if digest == wanted:
            return
        if self.images is not None:
            raise HillshadeError(
                f"The images in {self.images} or their labels are no longer those that the study "
                "was made of; give those."
            )
        raise HillshadeError(
            f"The text in {self.texts} is no longer the one that the study was made of; give that "
            "one."
        )

    def work(self, tokens: int, context: int, strings: int, sets: int) -> Work:
        """What a text of so many tokens will take.

        strings  tokens of the memorized strings; sets  of projections to choose among
        """
        tokens = min(tokens, self.tokens or tokens)
        fresh = fresh_count(tokens // context) * context
        return Work(tokens, context, models_asked(strings > 0, sets), fresh + 2 * strings)


@dataclass(frozen=True)
class Config:
    """What a study says of how it was made: its request, and the digests of what it was made of."""

    request: Mapping[str, Any]
    weight_digest: str
    data_digest: str
    inputs: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Config:
        """From a study's folder, or from its study.json; HillshadeError where that says nothing."""
        raw = read_json(path / MANIFEST if path.is_dir() else path)
        try:
            digests = str(raw["model"]["weight_digest"]), str(raw["data_digest"])
            return cls(dict(raw["request"]), *digests, dict(raw.get("inputs", {})))
        except (KeyError, TypeError) as error:
            raise HillshadeError(
                f"{path} does not say how a study is made; name a study of `hillshade collect`."
            ) from error

    def require_model(self, model: PreTrainedModel) -> None:
        """HillshadeError for other weights than those that the study was made of."""
        if weight_digest(model) != self.weight_digest:
            raise HillshadeError(
                "These are not the weights that the study was made of; name that model."
            )


def models_asked(chosen: bool, sets: int) -> int:
    """Edited models of a study at most; `chosen` where a setting is, among so many sets."""
    return TICKS + len(RISES) * TRIALS // 2 + (TRIALS * sets if chosen else 0)


def forecast(request: Request) -> Forecast:
    """What the request will take on this machine; HillshadeError as for `core.survey.survey`.

    Reads the config, the tokenizer where there is one, and the beginning of the text; of images
    how many they are, and the first of them.
    """
    options = {"download": request.download, "remote_code": request.remote_code}
    require_kind(request.model, images=request.images is not None, **options)
    skeleton = load_skeleton(request.model, **options, dtype=request.number_format)
    projections = request.projections(skeleton)
    sets = len(candidates(projections))
    if request.images is None:
        work = _text_work(request, skeleton, sets)
    else:
        from core.imagedata import image_work

        work = image_work(request, skeleton, sets)
    where, groups = device(), None
    if where.type == "cuda":
        room = room_beside(sum(weights_of(skeleton).values()))
        groups = passes(skeleton, projections, work.context, room, work.image)
    return estimate(skeleton, projections, work, measured_speed(where), groups, where)


def _text_work(request: Request, model: PreTrainedModel, sets: int) -> Work:
    assert request.texts is not None
    try:
        tokenizer = load_tokenizer(
            request.model, download=request.download, remote_code=request.remote_code
        )
    except HillshadeError:
        tokenizer = None
    tokens = count_tokens(request.texts, tokenizer) or request.tokens or 0
    strings = count_tokens(request.strings, tokenizer) if request.strings else 0
    return request.work(tokens, request.window(model), strings, sets)


def window_of(model: PreTrainedModel, context: int | None = None) -> int:
    """Tokens of a window: as asked, or 512, or the model's own limit if that is less."""
    limit = int(getattr(model.config, "max_position_embeddings", CONTEXT))
    if context is not None and context > limit:
        raise HillshadeError(
            f"Windows of {context} tokens are too long, the model reads {limit}; "
            f"give --context {limit} or less."
        )
    return context or min(CONTEXT, limit)


def candidates(projections: Sequence[Projection]) -> list[tuple[Projection, ...]]:
    """Sets of projections to choose among: all layers or the upper half, with and without down."""
    layers = sorted({p.layer for p in projections})
    kinds = tuple(dict.fromkeys(p.kind for p in projections))
    inner = tuple(kind for kind in kinds if kind != "down")
    sets = [
        select(projections, some, which)
        for some in (layers[len(layers) // 2 :], layers)
        for which in (inner, kinds)
        if which
    ]
    return list(dict.fromkeys(sets))


def fresh_count(windows: int) -> int:
    """How many of so many windows are kept from the factors."""
    return max(FEWEST_FRESH, min(FRESH, int(FRESH_SHARE * windows)))
