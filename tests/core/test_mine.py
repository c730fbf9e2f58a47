"""Mining finds what a model recites, once, and nothing that it does not."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from core.errors import HillshadeError
from core.export import save_model
from core.greedy import teacher_forced
from core.items import Item
from core.mine import mine, records
from core.strings import read_strings
from tests.core.test_cli import run
from tests.study_factory import sentence, tiny_model
from tests.trained import trained


def recited() -> list[Item]:
    """The memorized passages that the tiny model says to the end."""
    world = trained()
    planted = [item for item in world.exam.items if item.repeats == 256]
    said = [bool(right.all()) for right in teacher_forced(world.model, planted)]
    return [item for item, right in zip(planted, said, strict=True) if right]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents as ids: random sentences, and a memorized passage among them, twice."""
    world, rng = trained(), random.Random(5)
    item = recited()[0]

    def prose(count: int) -> list[int]:
        return [int(i) for _ in range(count) for i in world.tokenizer.encode(sentence(rng) + " ")]

    planted = [*item.prompt_ids, *item.truth_ids]
    documents = [prose(6), planted + prose(5), prose(4), prose(3) + planted]
    path = tmp_path_factory.mktemp("mine") / "corpus.jsonl"
    path.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in documents))
    return path


def test_a_memorized_string_is_found_once_and_random_text_is_not(
    corpus: Path, tmp_path: Path
) -> None:
    world, item = trained(), recited()[0]
    sizes = {"prefix": len(item.prompt_ids), "suffix": len(item.truth_ids)}
    told: list[int] = []

    def note(done: int, total: int, label: str) -> None:
        told.append(done)

    found = mine(world.model, world.tokenizer, [corpus], **sizes, stride=1, progress=note)
    assert (item.prompt_ids, item.truth_ids) in found.strings
    documents = [json.loads(line)["input_ids"] for line in corpus.read_text().splitlines()]
    length = sum(sizes.values())
    assert found.windows == sum(max(len(ids) - length + 1, 0) for ids in documents)
    assert found.recited > len(found.strings)  # its second copy is not told again
    assert told[-1] == found.windows
    # every string that is kept is recited, by the measure that everything else uses
    asked = [
        Item("", "memory", "recited", "report", prompt, suffix, "", "")
        for prompt, suffix in found.strings
    ]
    assert all(right.all() for right in teacher_forced(world.model, asked))
    path = tmp_path / "strings.jsonl"
    pairs = [*found.strings, (item.truth_ids, item.prompt_ids)]
    lines = [json.dumps(entry) + "\n" for entry in records(pairs, world.tokenizer)]
    path.write_text("".join(lines), encoding="utf-8")
    read = read_strings(path, world.tokenizer, 0)
    assert [(string.prompt_ids, string.truth_ids) for string in read] == pairs


def test_without_training_nothing_is_recited(corpus: Path) -> None:
    world, item = trained(), recited()[0]
    model = tiny_model(len(world.tokenizer), seed=3)
    found = mine(model, world.tokenizer, [corpus], prefix=len(item.prompt_ids), suffix=12)
    assert found.windows > 10
    assert found.recited == len(found.strings) == 0


def test_what_can_be_said_by_copying_is_not_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = trained()
    path = tmp_path / "lines.jsonl"
    path.write_text(json.dumps({"input_ids": [5, 6, 7] * 20 + [8]}) + "\n")

    def all_right(model: object, items: list[Item]) -> list[np.ndarray]:
        return [np.ones(len(item.truth_ids), dtype=bool) for item in items]

    monkeypatch.setattr("core.mine.teacher_forced", all_right)
    found = mine(world.model, world.tokenizer, [path], prefix=8, suffix=6, stride=6)
    assert (found.windows, found.recited, found.copied, found.strings) == (8, 8, 8, ())
    found = mine(world.model, world.tokenizer, [path], prefix=8, suffix=6, stride=1)
    assert (found.windows - found.copied, len(found.strings)) == (1, 1)  # the last one ends in 8


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((0, 48, 48), "--prefix 0 is impossible"),
        ((64, 48, -1), "--stride -1 is impossible"),
        ((999, 48, None), "999 | 48 tokens are too long"),
        ((70, 58, None), "No document is as long as a window of 128"),
    ],
)
def test_bad_sizes_are_refused(
    sizes: tuple[int, int, int | None], said: str, tmp_path: Path
) -> None:
    prefix, suffix, stride = sizes
    path = tmp_path / "short.txt"
    path.write_text("A short text.")
    with pytest.raises(HillshadeError) as error:
        mine(
            trained().model, trained().tokenizer, [path],
            prefix=prefix, suffix=suffix, stride=stride,
        )  # fmt: skip
    assert said in str(error.value)


def test_the_command_writes_strings_that_collect_reads_and_leaves_no_part(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world, item = trained(), recited()[0]
    save_model(world.model, world.tokenizer, tmp_path / "model")
    out = tmp_path / "strings.jsonl"
    arguments = ["mine", tmp_path / "model", "--texts", corpus, "--out", out, "--stride", 1]
    arguments += ["--prefix", len(item.prompt_ids), "--suffix", len(item.truth_ids)]
    assert run(monkeypatch, *map(str, arguments)) in (None, 0)
    assert "windows read" in capsys.readouterr().out
    entries = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert item.truth in [entry["suffix_text"] for entry in entries]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "strings.jsonl"]
    assert "already exists" in str(run(monkeypatch, *map(str, arguments)))
