"""study.json: what a study says about itself, and the checks that make it safe to believe.

A study is a folder that travels. Its manifest names the model (with a digest of the weights), the
data, the counts, every stored recipe with its ticks, and every file with its size and sha256. All
of it is read into frozen objects here, once; an ill-formed manifest is refused with a sentence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from core.errors import StudyError
from core.places import part_of

SCHEMA_VERSION = 1
MANIFEST = "study.json"

# Every file a study may hold. A name outside these sets is refused, so no path can leave the
# folder. The light part is enough for the stored results; the heavy part serves live edits.
TABLES = ("items", "points", "scores", "outputs")
REQUIRED = (*(f"{name}.parquet" for name in TABLES), "spectra.safetensors")
DOCUMENTS = (
    "training.json",
    "acceptance.json",
    "curvature.json",
    "examples.json",
    "landscape.json",
    "audit.json",
)
PICTURES = "images.safetensors"  # of a study of images
HEAVY = ("basis.safetensors", "factors.safetensors", "factors_planted.safetensors")
FILES = (MANIFEST, *REQUIRED, *DOCUMENTS, PICTURES, *HEAVY)  # no study holds others
LIGHT = (*REQUIRED, *DOCUMENTS, PICTURES)


@dataclass(frozen=True)
class ModelCard:
    """The model a study was made of: where it lies, and the digest of its weights."""

    id: str
    weight_digest: str
    architecture: str
    parameters: int


@dataclass(frozen=True)
class Axis:
    """What a recipe's setting is: "mass" (curvature mass kept) or "share", with its label."""

    key: str
    label: str


@dataclass(frozen=True)
class StoredRecipe:
    """One method on one set of projections, swept over its axis.

    ticks   settings, descending from 1 (tick 0 is the unedited model)
    chosen  tick chosen on the choosing half, or None
    equal   tolerated cost as text ("0.01") -> the tick that meets it: rise of fresh-text
            perplexity, or accuracy lost on rightly labelled images
    planted_share  share of planted text in the factor sample; None where no factors are used
    pooled  one cut-off for the pairs of all projections together, as `core.recipe.Recipe`
    """

    id: str
    method: str
    title: str
    layers: tuple[int, ...]
    kinds: tuple[str, ...]
    projections: tuple[str, ...]
    planted_share: float | None
    seeds: tuple[int, ...]
    axis: Axis
    ticks: tuple[float, ...]
    chosen: int | None = None
    equal: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    pooled: bool = False

    def __post_init__(self) -> None:
        count = len(self.ticks)
        marked = [*self.equal.values(), *([] if self.chosen is None else [self.chosen])]
        if (
            not self.ticks
            or self.ticks[0] != 1.0
            or any(not 0.0 <= low < high for high, low in pairwise(self.ticks))
            or any(not 0 <= tick < count for tick in marked)
        ):
            raise StudyError(
                f'The recipe "{self.id}" needs ticks falling from 1 and marks among them; '
                "make the study again."
            )
        object.__setattr__(self, "equal", MappingProxyType(dict(self.equal)))

    def tick_at(self, setting: float) -> int:
        """The stored tick nearest to a setting."""
        if not 0.0 <= setting <= 1.0:
            raise StudyError(f"The setting {setting} lies outside 0 to 1; choose one inside.")
        return min(range(len(self.ticks)), key=lambda tick: abs(self.ticks[tick] - setting))


@dataclass(frozen=True)
class FileRecord:
    """Size and digest of one file of the study."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """Everything study.json holds.

    counts        e.g. {"sequences": …, "positions": …}: the factor sample
    labels        label kind of the factors ("sampled" or "gold")
    convention    one line on how factors and perplexity are counted
    planted_share share of planted text in the factor sample of the main recipes
    noise_rate    rate of wrong answers, or wrong labels, in training; None for a model of one's own
    request       the options of `hillshade collect` that make it again (`core.request`); None for
                  the shipped study
    inputs        digests of what else it was made of: "strings", "factors"
    scale         of the factors (`core.factors`): "unknown" where their G carries a factor that
                  nobody stored, so that absolute curvatures mean nothing
    """

    model: ModelCard
    data_digest: str
    counts: Mapping[str, int]
    labels: str
    convention: str
    seed: int
    versions: Mapping[str, str]
    command: str
    created: str
    planted_share: float | None
    noise_rate: float | None
    recipes: tuple[StoredRecipe, ...]
    request: Mapping[str, Any] | None = None
    inputs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    scale: Literal["summed", "unknown"] = "summed"
    files: Mapping[str, FileRecord] = field(default_factory=lambda: MappingProxyType({}))
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        ids = [recipe.id for recipe in self.recipes]
        if len(set(ids)) != len(ids):
            raise StudyError("Two recipes of the study share one id; give each its own.")
        for name in ("counts", "versions", "inputs", "files"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def recipe(self, recipe_id: str) -> StoredRecipe:
        """The stored recipe of this id; StudyError names those there are."""
        for recipe in self.recipes:
            if recipe.id == recipe_id:
                return recipe
        known = ", ".join(recipe.id for recipe in self.recipes)
        raise StudyError(f'No recipe "{recipe_id}" in this study; it holds {known}.')

    def dumps(self) -> str:
        """As JSON text; numbers that are not finite are refused."""
        raw: dict[str, Any] = {
            name: dict(value) if isinstance(value, MappingProxyType) else value
            for name, value in vars(self).items()
        }
        raw["model"] = asdict(self.model)
        raw["files"] = {name: asdict(record) for name, record in sorted(self.files.items())}
        raw["recipes"] = [
            {**vars(recipe), "axis": asdict(recipe.axis), "equal": dict(recipe.equal)}
            for recipe in self.recipes
        ]
        return json.dumps(raw, indent=1, allow_nan=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check study.json of a folder that is known to hold one."""
        raw = read_json(folder / MANIFEST)
        version = raw.get("schema_version")
        if version != SCHEMA_VERSION:
            raise StudyError(
                f"The study in {folder} has format {version}; this version of Hillshade reads "
                f"format {SCHEMA_VERSION}. Update Hillshade, or make the study again."
            )
        try:
            files = {name: FileRecord(**record) for name, record in raw.pop("files").items()}
            recipes = tuple(_recipe(entry) for entry in raw.pop("recipes"))
            model = ModelCard(**raw.pop("model"))
            manifest = cls(model=model, recipes=recipes, files=files, **raw)
            for part in (manifest, model, *files.values(), *recipes, *(r.axis for r in recipes)):
                _require_types(part)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise StudyError(
                f"study.json in {folder} lacks a field or holds one of the wrong form ({error}); "
                "make the study again."
            ) from error
        for name in files:
            if name not in LIGHT and name not in HEAVY:
                raise StudyError(
                    f'study.json in {folder} names the file "{name}", which no study holds; '
                    "do not trust this folder."
                )
        return manifest


def _recipe(entry: Mapping[str, Any]) -> StoredRecipe:
    listed = {
        name: tuple(entry[name]) for name in ("layers", "kinds", "projections", "seeds", "ticks")
    }
    return StoredRecipe(**{**entry, **listed, "axis": Axis(**entry["axis"])})


def _require_types(part: Any) -> None:
    """TypeError, naming the field, where a value of a record is not of the type it states."""
    for name, kind in get_type_hints(type(part)).items():
        if not _fits(getattr(part, name), kind):
            raise TypeError(f"{name} is {str(getattr(part, name))[:40]!r}")


def _fits(value: object, kind: Any) -> bool:
    outer, inner = get_origin(kind), get_args(kind)
    if outer is UnionType:
        return any(_fits(value, one) for one in inner)
    if outer is Literal:
        return value in inner
    if outer is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, inner[0]) and _fits(entry, inner[1]) for key, entry in value.items()
        )
    if outer is tuple:
        return isinstance(value, tuple) and all(_fits(entry, inner[0]) for entry in value)
    if kind in (int, float):
        return type(value) in (int, kind)
    return kind is Any or isinstance(value, kind)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; StudyError when the text is cut off or is something else."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{path} is no readable JSON; copy the study again.") from error
    if not isinstance(raw, dict):
        raise StudyError(f"{path} holds no JSON object; copy the study again.")
    return cast(dict[str, Any], raw)


def digest_of(path: Path) -> FileRecord:
    """sha256 and size of a file."""
    with path.open("rb") as stream:
        return FileRecord(hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size)


def require_folder(path: Path) -> None:
    """StudyError unless `path` is a folder with a manifest, and not one half-written."""
    part = part_of(path)
    if path.name.endswith(".part"):
        raise StudyError(f"{path} is half-written; wait until it is finished, or make it again.")
    if not path.is_dir():
        hint = (
            f"{part.name} beside it is half-written; wait for it, or make the study again."
            if part.is_dir()
            else "Check the path, or make the study first."
        )
        raise StudyError(f"There is no study folder at {path}. {hint}")
    if not (path / MANIFEST).is_file():
        raise StudyError(
            f"{path} holds no {MANIFEST}: it is half-written or no study. Make it again."
        )


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the folder with its manifest: the light part by sha256, the heavy part by length.

    A heavy file may be absent (a study is often passed on without it), never cut short.
    """
    for name in (*REQUIRED, *manifest.files):
        check_file(folder, manifest, name)


def check_file(folder: Path, manifest: Manifest, name: str) -> bool:
    """Compare one file with the manifest; False where a heavy file was not copied along."""
    record, path = manifest.files.get(name), folder / name
    if record is None:
        raise StudyError(f"The study in {folder} lists no {name}; make the study again.")
    if not path.is_file():
        if name in HEAVY:
            return False
        raise StudyError(f"The study in {folder} lacks {name}; copy the whole folder again.")
    if path.stat().st_size != record.bytes:
        raise StudyError(
            f"{name} in {folder} has {path.stat().st_size} bytes instead of {record.bytes}; "
            "copy the study again."
        )
    if name.endswith(".safetensors"):
        _check_safetensors(path)
    if name in LIGHT and digest_of(path).sha256 != record.sha256:
        raise StudyError(
            f"{name} in {folder} was changed since the study was made; copy the study again."
        )
    return True


def _check_safetensors(path: Path) -> None:
    """The 8-byte header length, the header, and the data it announces must all be there.

    Format: little-endian u64 n, n bytes of JSON {name: {data_offsets: [begin, end]}}, data.
    """
    size = path.stat().st_size
    broken = StudyError(f"{path.name} in {path.parent} is cut short; copy the study again.")
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise broken
        try:
            header: dict[str, Any] = json.loads(stream.read(length))
            ends = [
                int(entry["data_offsets"][1])
                for name, entry in header.items()
                if name != "__metadata__"
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise broken from error
    if 8 + length + max(ends, default=0) != size:
        raise broken
