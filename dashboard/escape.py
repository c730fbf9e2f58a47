"""Text of a study, of an error or of the address, shown as it is written.

Streamlit reads markdown in headings, captions, notices, labels and table cells, and an image there
is fetched by the visitor's browser. What others wrote therefore passes through `plain` first;
select boxes, data frames, code and our own components show text as it is.
"""

from __future__ import annotations

import re

_MARKS = re.compile(r"([\\`*_{}\[\]<>#$~|]|:(?=\S))")


def plain(text: str) -> str:
    """Text that markdown shows as it is: no image, link, formula, icon or emphasis in it."""
    return _MARKS.sub(r"\\\1", text)
