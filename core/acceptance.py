"""acceptance.json of a study as Markdown: one form for the terminal and the README.

    {"tables": [{"title": "…", "columns": ["…", …], "rows": [["…", …], …], "caption": "…"}, …]}

Cells are text, already rounded as they shall be read; numbers for machines lie under other keys.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import StudyError


def markdown(document: Mapping[str, Any]) -> str:
    """Every table with its title above and its caption below, columns padded to line up.

    Raises StudyError for a table without these fields, or with a row of another length.
    """
    try:
        return "\n\n".join(_table(table) for table in document["tables"]) + "\n"
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"acceptance.json holds a table of the wrong form ({error}); make the study again."
        ) from error


def _table(table: Mapping[str, Any]) -> str:
    rows: list[Sequence[str]] = [table["columns"], *table["rows"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = (
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in rows
    )
    # The first column names the row; the others hold numbers.
    rule = "| " + "-" * widths[0] + "".join(f" | {'-' * (width - 1)}:" for width in widths[1:])
    parts = [f"**{table['title']}**", "\n".join([head, rule + " |", *body]), table["caption"]]
    return "\n\n".join(part for part in parts if part)
