"""What a study is made of beside model and text: memorized strings, and factors of another tool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import HillshadeError
from core.factors import Factors
from core.manifest import digest_of
from core.projection import matrix_digest, named, select
from core.request import Config, Request

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from core.data import Data


def given_factors(request: Request, path: Path, model: PreTrainedModel) -> Factors:
    """The factors in `path`, of the projections that are asked for; all that it has by default.

    Raises HillshadeError for a missing or damaged file, factors of other weights, and layers or
    kinds that it does not cover.
    """
    read = Factors.load(path)
    there = named(model, [projection.name for projection in read.projections])
    chosen = select(there, request.layers, request.kinds)
    for projection in chosen:
        if read.digests[projection.name] != matrix_digest(projection.weight(model)):
            raise HillshadeError(
                f"The factors in {path} are of other weights than {projection.name} has here; "
                "import them for this model."
            )
    keys = {projection.input_key for projection in chosen}
    names = {projection.name for projection in chosen}
    return replace(
        read,
        projections=chosen,
        a_sums={key: total for key, total in read.a_sums.items() if key in keys},
        g_sums={name: total for name, total in read.g_sums.items() if name in names},
        digests={name: digest for name, digest in read.digests.items() if name in names},
    )


def inputs_of(request: Request, data: Data[Any]) -> dict[str, str]:
    """Digests of the strings, as they were read, and of the file of factors, where there are."""
    found = dict(data.inputs)
    if request.factors is not None:
        if not request.factors.is_file():
            raise HillshadeError(f"There is no file {request.factors}; check the path.")
        found["factors"] = digest_of(request.factors).sha256
    return found


def require_inputs(request: Request, data: Data[Any], again: Config) -> None:
    """HillshadeError for other strings or factors than the study's, or any where it has none.

    Older studies do not say which strings were theirs.
    """
    for name, digest in inputs_of(request, data).items():
        known = digest if again.request.get(name) else ""
        if again.inputs.get(name, known) != digest:
            raise HillshadeError(
                f"The {name} in {getattr(request, name)} are no longer those that the study was "
                "made of; give those."
            )
