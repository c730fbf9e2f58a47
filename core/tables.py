"""The four parquet tables of a study: their columns, and how they are packed.

Parquet with zstd; text columns dictionary-encoded. The one large table, `outputs`, holds a
continuation for every recipe, tick and item (about half a million rows). Three things keep it at
a few megabytes: rows lie in the order item, recipe, tick, so that similar texts are neighbours;
a text is stored only where it differs from that of the row before it; and the codec sees
each text once, in the order of first appearance. Nothing is lost: `read_table` fills the rows up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import StudyError
from core.images import Image
from core.items import Item

_TEXT = pa.string()
_INT = pa.int32()
_REAL = pa.float64()
_IDS = pa.list_(pa.int32())
IMAGE = "image"


def _schema(columns: Mapping[str, pa.DataType], nullable: Sequence[str] = ()) -> pa.Schema:
    return pa.schema([pa.field(name, kind, name in nullable) for name, kind in columns.items()])


COLUMNS: dict[str, pa.Schema] = {
    "items": _schema(
        {
            "id": _TEXT,
            "kind": _TEXT,
            "group": _TEXT,
            "split": _TEXT,
            "prompt": _TEXT,
            "truth": _TEXT,
            "repeats": _INT,
            "exact_copies": _INT,
            "chance": _REAL,
            "prompt_ids": _IDS,
            "truth_ids": _IDS,
        },
        nullable=("repeats", "exact_copies", "chance"),  # see core.items.Item
    ),
    "points": _schema(
        {
            "recipe": _TEXT,
            "tick": _INT,
            "seed": _INT,
            "setting": _REAL,
            "directions_kept": pa.int64(),
            "directions_total": pa.int64(),
            "weight_kept": _REAL,
            "ppl_choose": _REAL,
            "ppl_report": _REAL,
            "ppl_report_low": _REAL,
            "ppl_report_high": _REAL,
            "ratio_report": _REAL,
            "ratio_low": _REAL,
            "ratio_high": _REAL,
            "tf_accuracy": _REAL,
        },
        # Further seeds are not asked unseen passages; images have no perplexity.
        nullable=(
            "tf_accuracy",
            "ppl_choose",
            "ppl_report",
            "ppl_report_low",
            "ppl_report_high",
            "ratio_report",
            "ratio_low",
            "ratio_high",
        ),
    ),
    "scores": _schema(
        {
            "recipe": _TEXT,
            "tick": _INT,
            "seed": _INT,
            "split": _TEXT,
            "group": _TEXT,
            "repeats": _INT,
            "measure": _TEXT,
            "n": _INT,
            "value": _REAL,
            "low": _REAL,
            "high": _REAL,
        },
        nullable=("repeats",),  # null for probes, and where it is not known
    ),
    "outputs": _schema(
        {
            "recipe": _TEXT,
            "tick": _INT,
            "item": _TEXT,
            "output": _TEXT,
            "strict": pa.bool_(),
            "distance": pa.float32(),
        },
        nullable=("output",),  # null on disk where the row above has the same text
    ),
}


def items_frame(items: Sequence[Item]) -> pd.DataFrame:
    """The items as a table, one row each, in their order."""
    names = COLUMNS["items"].names
    columns = {name: [getattr(item, name) for item in items] for name in names}
    # Without object, no item at all would be float64.
    return _typed(pd.DataFrame(columns, dtype=None if items else object))


def images_frame(images: Sequence[Image], labels: Mapping[int, str]) -> pd.DataFrame:
    """Images as a table of items: the label given is the truth, and there is no prompt.

    `labels` are the names of the classes (`id2label` of a config).
    """
    rows = [
        {
            "id": image.id,
            "kind": IMAGE,
            "group": image.group,
            "split": image.split,
            "prompt": "",
            "truth": labels[image.given],
            "prompt_ids": (),
            "truth_ids": (image.given,),
        }
        for image in images
    ]
    return _typed(pd.DataFrame(rows, columns=COLUMNS["items"].names, dtype=object))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    for name in ("repeats", "exact_copies"):
        frame[name] = frame[name].astype("Int32")
    frame["chance"] = frame["chance"].astype("float64")
    return frame


def items_from_frame(frame: pd.DataFrame) -> tuple[Item, ...]:
    """The inverse of `items_frame`; images are none of them."""

    def whole(value: Any) -> int | None:
        return None if pd.isna(value) else int(value)

    return tuple(
        Item(
            id=str(row["id"]),
            kind=row["kind"],
            group=str(row["group"]),
            split=row["split"],
            prompt_ids=tuple(int(i) for i in row["prompt_ids"]),
            truth_ids=tuple(int(i) for i in row["truth_ids"]),
            prompt=str(row["prompt"]),
            truth=str(row["truth"]),
            repeats=whole(row["repeats"]),
            exact_copies=whole(row["exact_copies"]),
            chance=None if pd.isna(row["chance"]) else float(row["chance"]),
        )
        for row in frame[frame["kind"] != IMAGE].to_dict("records")
    )


def write_table(frame: pd.DataFrame, name: str, path: Path) -> None:
    """Write one of the tables; its columns must be exactly those of COLUMNS[name]."""
    schema = COLUMNS[name]
    if set(frame.columns) != set(schema.names):
        raise StudyError(
            f"The table {name} needs the columns {', '.join(schema.names)}; "
            f"it came with {', '.join(map(str, frame.columns))}."
        )
    if name == "outputs":
        frame = _packed_outputs(frame)
    table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
    # (The bundled type hints of pyarrow know use_dictionary as a bool only.)
    encoded: Any = [field.name for field in schema if field.type == _TEXT] + ["distance"]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=encoded,
        dictionary_pagesize_limit=1 << 28,  # one dictionary a column: the codec sees all texts
        row_group_size=1 << 24,
        store_schema=False,
    )


def read_table(name: str, path: Path) -> pd.DataFrame:
    """Read one of the tables; raises StudyError when its columns are not those of COLUMNS.

    Neither in name, nor in type, nor in whether a value may be missing.
    """
    texts = ["recipe", "item", "output"] if name == "outputs" else []
    try:
        table = pq.read_table(path, read_dictionary=texts)
    except (OSError, pa.ArrowException) as error:
        raise StudyError(f"{path.name} cannot be read; copy the study again.") from error
    if [_known(column) for column in table.schema] != [(c.name, c.type) for c in COLUMNS[name]]:
        raise StudyError(
            f"{path.name} has other columns than this version of Hillshade reads; "
            "make the study again."
        )
    for column in COLUMNS[name]:
        if table[column.name].null_count and not column.nullable:
            raise StudyError(f"{path.name} lacks a {column.name}; make the study again.")
    if name == "outputs":
        return _unpacked_outputs(table)
    frame = table.to_pandas()
    for column in COLUMNS[name]:
        if column.nullable and pa.types.is_integer(column.type):
            frame[column.name] = frame[column.name].astype(f"Int{column.type.bit_width}")
    return frame


def _known(column: pa.Field) -> tuple[str, pa.DataType]:
    """Name and type of a column, be it dictionary-encoded or not."""
    kind = column.type
    return column.name, kind.value_type if pa.types.is_dictionary(kind) else kind


def _packed_outputs(frame: pd.DataFrame) -> pd.DataFrame:
    """Sorted by item, recipe, tick, with each text that repeats the row above it left out."""
    frame = frame.sort_values(["item", "recipe", "tick"], kind="stable", ignore_index=True)
    if bool(frame.duplicated(["item", "recipe", "tick"]).any()):
        raise StudyError("The table outputs holds an item twice at one tick of one recipe.")
    if bool(frame["output"].isna().any()):
        raise StudyError("The table outputs lacks a text; store an empty text as an empty string.")
    output = frame["output"].astype(object).to_numpy().copy()
    same = np.zeros(len(frame), dtype=bool)
    same[1:] = output[1:] == output[:-1]
    output[same] = None
    frame["output"] = output
    return frame


def _unpacked_outputs(table: pa.Table) -> pd.DataFrame:
    """Every row with its text again; recipe, item and output are categories (shared strings)."""
    frame = table.to_pandas()
    output = frame["output"].cat
    codes = output.codes.to_numpy()
    # Each row without a text takes the last row above that has one.
    last = np.maximum.accumulate(np.where(codes >= 0, np.arange(len(codes)), 0))
    frame["output"] = pd.Categorical.from_codes(codes[last], dtype=frame["output"].dtype)
    return frame
