"""Write the measured tables of the shipped study into the README: `make readme`."""

from pathlib import Path

from core.acceptance import markdown
from core.manifest import read_json

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
ACCEPTANCE = ROOT / "assets" / "language" / "study" / "acceptance.json"
BEGIN = "<!-- measured: begin (filled by `make readme` from the shipped study) -->\n"
END = "<!-- measured: end -->\n"


def filled(text: str) -> str:
    """The README's text with the shipped study's tables between the two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown(read_json(ACCEPTANCE))}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
