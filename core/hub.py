"""Data sets of the Hugging Face hub as texts, read as they come: hf:NAME:SPLIT:COLUMN.

    hf:roneneldan/TinyStories:train:text
    hf:Salesforce/wikitext@wikitext-2-raw-v1:test:text     NAME@CONFIG where it has several

Nothing but what is read is downloaded. Needs the extra `hillshade[datasets]`; how much text there
is nobody knows beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.errors import HillshadeError

PREFIX = "hf:"


def of_hub(path: str | Path) -> bool:
    """Whether a place of texts is a data set of the hub."""
    return str(path).startswith(PREFIX)


def documents(place: str | Path) -> Iterator[str]:
    """The texts of the column, one a document, in the order of the data set; empty ones left out.

    Raises HillshadeError for a place of another form, where the extra is missing, for a data set
    that cannot be read, and for a column that is not there or holds no text.
    """
    name, split, column = _parts(str(place))
    try:
        import datasets
    except ImportError as error:
        raise HillshadeError(
            f"Reading {place} needs the extra datasets; install it: pip install -e '.[datasets]'."
        ) from error
    name, _, config = name.partition("@")
    try:
        for row in datasets.load_dataset(name, config or None, split=split, streaming=True):
            if not isinstance(row.get(column), str):
                raise HillshadeError(
                    f"The data set {name} has no text in a column {column}; choose among "
                    f"{', '.join(sorted(map(str, row)))}."
                )
            if row[column]:
                yield row[column]
    except (OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise HillshadeError(
            f"The data set in {place} cannot be read ({first}); check its name and split."
        ) from error


def _parts(place: str) -> tuple[str, str, str]:
    parts = place.removeprefix(PREFIX).split(":")
    if len(parts) != 3 or not all(parts):
        raise HillshadeError(f"{place} names no data set; write hf:NAME:SPLIT:COLUMN.")
    return parts[0], parts[1], parts[2]
