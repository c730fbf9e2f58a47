"""Questions of one's own: read in halves, and refused by a sentence that names the line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from core.errors import HillshadeError
from core.questions import read_probes
from tests.study_factory import tiny_tokenizer

Question = dict[str, object]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def question(number: int, answer: str, group: str = "sums") -> Question:
    return {"prompt": f"{number} plus {number} is", "answer": answer, "group": group}


def written(path: Path, *questions: Question, mark: str = "") -> Path:
    text = mark + "".join(json.dumps(one) + "\n" for one in questions)
    path.write_text(text, encoding="utf-8")
    return path


def test_each_group_is_halved_by_its_tokens_alone(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    asked = [question(n, f" {2 * n}.") for n in range(8)]
    asked += [question(n, " even.", "parity") for n in range(5)]
    asked.append(question(3, " six."))  # another answer to a question is another probe
    found = read_probes(written(tmp_path / "a.jsonl", *asked), tokenizer, seed=1)
    assert Counter((item.group, item.split) for item in found) == {
        ("sums", "choose"): 4, ("sums", "report"): 5,
        ("parity", "choose"): 2, ("parity", "report"): 3,
    }  # fmt: skip
    assert sorted((i.prompt, i.truth) for i in found) == sorted(
        (q["prompt"], q["answer"]) for q in asked
    )
    marked = written(tmp_path / "b.jsonl", *reversed(asked), mark="\ufeff")
    again = read_probes(marked, tokenizer, seed=1)  # order and byte-order mark change nothing
    halves = [{(i.prompt_ids, i.truth_ids): i.split for i in some} for some in (found, again)]
    assert halves[0] == halves[1]


@pytest.mark.parametrize("group", ["sums", "parity"])
def test_a_question_that_stands_there_twice_is_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, group: str
) -> None:
    path = written(
        tmp_path / "a.jsonl", question(1, " 2."), question(2, " 4."), question(1, " 2.", group)
    )
    with pytest.raises(HillshadeError, match=r"Lines 1 and 3 of .* hold the same question"):
        read_probes(path, tokenizer, 0)
