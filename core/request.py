"""What a study of one's own is made of: the options of ``hillshade collect``, and their price."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import torch

from core.errors import HillshadeError
from core.estimate import Forecast, Work, estimate, passes, room_beside, weights_of
from core.hub import of_hub
from core.machine import measured_speed
from core.manifest import MANIFEST, read_json
from core.model import device, load_skeleton, load_tokenizer
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
_PATHS: Final = ("texts", "strings", "factors")


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
    """

    model: str
    texts: Path
    out: Path
    strings: Path | None = None
    layers: tuple[int, ...] | None = None
    kinds: tuple[str, ...] | None = None
    tokens: int | None = None
    context: int | None = None
    seed: int = 0
    remote_code: bool = False
    factors: Path | None = None
    dtype: Dtype = "float32"
    shard: bool = False

    def __post_init__(self) -> None:
        for name, value, least in (("tokens", self.tokens, 2), ("context", self.context, 2)):
            if value is not None and value < least:
                raise HillshadeError(f"--{name} {value} is impossible; give {least} or more.")
        if of_hub(self.texts) and self.tokens is None:
            raise HillshadeError(
                f"Nobody knows how much text {self.texts} has; give --tokens, how many to read."
            )

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
        words = [self.model, "--texts", str(self.texts)]
        if self.strings is not None:
            words += ["--strings", str(self.strings)]
        if self.layers is not None:
            words += ["--layers", ",".join(map(str, self.layers))]
        if self.kinds is not None:
            words += ["--kinds", ",".join(self.kinds)]
        for name, value in (("tokens", self.tokens), ("context", self.context)):
            words += [] if value is None else [f"--{name}", str(value)]
        words += [] if self.dtype == "float32" else ["--dtype", self.dtype]
        words += ["--remote-code"] if self.remote_code else []
        return words

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
        """The inverse of `plain`; ``places`` says where model, texts or strings lie now."""
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

    def work(self, tokens: int, context: int, strings: int, sets: int) -> Work:
        """What a text of so many tokens will take.

        strings  tokens of the memorized strings; sets  of projections to choose among
        """
        tokens = min(tokens, self.tokens or tokens)
        fresh = fresh_count(tokens // context) * context
        models = TICKS + len(RISES) * TRIALS // 2 + (TRIALS * sets if strings else 0)
        return Work(tokens, context, models, fresh + 2 * strings)


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


def forecast(request: Request) -> Forecast:
    """What the request will take on this machine; HillshadeError as for `core.survey.survey`.

    Reads the config, the tokenizer where there is one, and the beginning of the text.
    """
    options = {"download": request.download, "remote_code": request.remote_code}
    skeleton = load_skeleton(request.model, **options, dtype=request.number_format)
    projections = request.projections(skeleton)
    try:
        tokenizer = load_tokenizer(request.model, **options)
    except HillshadeError:
        tokenizer = None
    tokens = count_tokens(request.texts, tokenizer) or request.tokens or 0
    strings = count_tokens(request.strings, tokenizer) if request.strings else 0
    context = request.window(skeleton)
    work = request.work(tokens, context, strings, len(candidates(projections)))
    where, groups = device(), None
    if where.type == "cuda":
        weights = sum(weights_of(skeleton).values())
        groups = passes(skeleton, projections, context, room_beside(weights))
    return estimate(skeleton, projections, work, measured_speed(where), groups, where)


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
