"""The parts of the scrubber as text: for Streamlit, and for a page that stands alone."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).parent
_CONFIG = _HERE.parent / ".streamlit" / "config.toml"
_STYLES = {
    "bar": ("common.css", "bar.css"),
    "live": ("common.css", "live.css"),
    "texts": ("common.css", "marks.css", "texts.css"),
    "passage": ("common.css", "marks.css", "passage.css"),
    "wall": ("common.css", "wall.css"),
    "moves": (),
    "theme": (),
    "painted": (),
}
_SCRIPTS = {
    "bar": ("common.js", "bar.js"),
    "live": ("common.js", "relief.js", "live.js"),
    "texts": ("common.js", "texts.js"),
    "passage": ("common.js", "passage.js"),
    "wall": ("common.js", "wall.js"),
    "moves": ("common.js", "moves.js"),
    "theme": ("common.js", "theme.js"),
    "painted": ("common.js", "painted.js"),
}
_EXPORT = "export default function"


def style(part: str) -> str:
    """The style sheet of a part."""
    return _read(_STYLES[part])


def script(part: str) -> str:
    """A part as a module with one export."""
    return _read(_SCRIPTS[part])


def scripts(parts: Sequence[str]) -> str:
    """Several parts as one classic script: `parts.bar({data, parentElement, setTriggerValue})`.

    Each module becomes a function of its own, so that names in one are not seen in another.
    """
    made = [
        f"{part}: (() => {{\n{script(part).replace(_EXPORT, 'return function')}\n}})(),"
        for part in parts
    ]
    return "const parts = {\n" + "\n".join(made) + "\n};"


def offline(name: str) -> str:
    """A file of the page that stands alone."""
    return (_HERE / "offline" / name).read_text(encoding="utf-8")


def theme() -> str:
    """Streamlit's theme as the variables that the parts read; the browser picks light or dark."""
    stored = tomllib.loads(_CONFIG.read_text(encoding="utf-8"))["theme"]

    def of(mode: str) -> str:
        colours = stored[mode]
        return (
            f"--st-background-color: {colours['backgroundColor']}; "
            f"--st-text-color: {colours['textColor']}; "
            f"--st-primary-color: {colours['primaryColor']};"
        )

    return (
        ":root { color-scheme: light dark; --st-font: 'Source Sans', system-ui, sans-serif; "
        f"--st-heading-font: 'Source Serif', Georgia, serif; {of('light')} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {of('dark')} }} }}\n"
    )


def _read(names: Sequence[str]) -> str:
    return "\n".join((_HERE / "scrubber" / name).read_text(encoding="utf-8") for name in names)
