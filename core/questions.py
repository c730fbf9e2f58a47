"""Questions of one's own: abilities that an edit is to leave alone.

A file of them is JSONL, a question a line:

    {"prompt": "3 plus 4 is", "answer": " 7.", "group": "sums", "chance": 0.1}

"group" is "probes" and "chance", the accuracy of blind guessing, 0 where they are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import HillshadeError
from core.items import Item, Split
from core.strings import parted
from core.textfile import Window, keyed, lines_of, records

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GROUP = "probes"


def read_probes(path: Path, tokenizer: PreTrainedTokenizerBase, seed: int) -> list[Item]:
    """The questions of a JSONL file, half of each group to choose on and half to report.

    Halves are those of sha256(seed, ids), as for strings. Raises HillshadeError, naming the line,
    for what is no question, one that stands there twice, and a group of fewer than two.
    """
    found: dict[tuple[str, bytes], tuple[int, dict[str, Any]]] = {}
    lines: dict[tuple[Window, Window], int] = {}
    for line, entry in records(path, lines_of(path)):
        made = _question(path, line, entry, tokenizer)
        pair = made["prompt_ids"], made["truth_ids"]
        if (first := lines.setdefault(pair, line)) != line:
            raise HillshadeError(
                f"Lines {first} and {line} of {path} hold the same question and answer; keep one "
                "of them, or it stands in both halves."
            )
        found[made["group"], keyed(seed, pair[0] + pair[1])] = line, made
    items: list[Item] = []
    for group in dict.fromkeys(group for group, _ in found):
        ranked = sorted(key for key in found if key[0] == group)
        if len(ranked) < 2:
            raise HillshadeError(f'{path} asks one question of "{group}"; one half must report.')
        for number, key in enumerate(ranked):
            split: Split = "choose" if number < len(ranked) // 2 else "report"
            line, made = found[key]
            items.append(Item(id=f"{group}-{line:05d}", kind="probe", split=split, **made))
    if not items:
        raise HillshadeError(f"There is no question in {path}; give one a line.")
    return items


def _question(
    path: Path, line: int, entry: dict[str, Any], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    prompt, answer = entry.get("prompt"), entry.get("answer")
    group, chance = entry.get("group", GROUP), entry.get("chance", 0.0)
    if not (isinstance(prompt, str) and isinstance(answer, str) and prompt and answer):
        raise HillshadeError(
            f'Line {line} of {path} needs "prompt" and "answer" with some text in each.'
        )
    if not isinstance(group, str) or type(chance) not in (int, float) or not 0 <= chance < 1:
        raise HillshadeError(
            f'Line {line} of {path} needs a text as "group" and as "chance" a number from 0 to '
            "below 1, or neither."
        )
    parts = parted(prompt, answer, tokenizer)
    if parts is None:
        raise HillshadeError(
            f"Line {line} of {path} is parted inside a token; let the answer begin with a word."
        )
    return {
        "group": group,
        "prompt_ids": parts[0],
        "truth_ids": parts[1],
        "prompt": prompt,
        "truth": answer,
        "chance": float(chance),
    }
