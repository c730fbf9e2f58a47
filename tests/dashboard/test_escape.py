"""What others wrote is shown as it is written: no page fetches an image that a study names."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.manifest import Manifest, digest_of
from core.tables import read_table, write_table
from dashboard.escape import plain
from dashboard.start_sections import NUMBERS
from tests import pages
from tests.dashboard import documents, slices
from tests.dashboard.test_pages import open_page
from tests.image_study import write_image_study

EVIL = "![x](https://evil.example/p.png)"
# What Streamlit shows as it is: a select box, data, a chart, code, plain text, what is typed.
LITERAL = {"selectbox", "dataframe", "plotly_chart", "code", "text", "text_area", "text_input",
           "bidi_component", "download_button"}  # fmt: skip
WORDS = {"about", "sentence", "prompt", "truth", "title"}
ABILITY = "sums"  # of the small study; its name is planted too


def planted(found: Any, key: str = "") -> Any:
    """A document whose words all end in an image of another server."""
    if isinstance(found, dict):
        return {name: planted(value, name) for name, value in found.items()}
    if isinstance(found, list):
        return [planted(value, key) for value in found]
    return f"{found} {EVIL}" if isinstance(found, str) and key in WORDS else found


def poisoned(folder: Path) -> Path:
    """The study in a folder with the image in every text of its manifest and tables."""
    manifest, files = Manifest.read(folder), {}
    for name, record in manifest.files.items():
        files[name] = record
        if name.endswith(".parquet"):
            frame = read_table(name.removesuffix(".parquet"), folder / name)
            for column in {"prompt", "truth", "output"} & set(frame.columns):
                frame[column] = frame[column].astype(str) + EVIL
            if "group" in frame:
                frame["group"] = frame["group"].replace(ABILITY, ABILITY + EVIL)
            write_table(frame, name.removesuffix(".parquet"), folder / name)
            files[name] = digest_of(folder / name)
    recipes = tuple(
        dataclasses.replace(
            recipe, title=recipe.title + EVIL,
            axis=dataclasses.replace(recipe.axis, label=recipe.axis.label + EVIL),
        )
        for recipe in manifest.recipes
    )  # fmt: skip
    manifest = dataclasses.replace(
        manifest,
        files=files,
        recipes=recipes,
        model=dataclasses.replace(manifest.model, id=EVIL, architecture=EVIL),
        labels=EVIL,
        convention=EVIL,
        command=EVIL,
        created=EVIL,
        versions={EVIL: EVIL},
        counts={EVIL: 1},
    )
    (folder / "study.json").write_text(manifest.dumps(), encoding="utf-8")
    return folder


def shown(at: AppTest) -> Iterator[str]:
    """All that a page hands to a part of Streamlit that reads markdown."""
    for element in (*at.main, *at.sidebar):
        if element.type in LITERAL:
            continue
        if element.type == "table":
            yield "\n".join(map(str, element.value.to_numpy().ravel()))
        else:
            yield str(element.proto)


def unescaped(at: AppTest) -> list[str]:
    assert not at.exception, at.exception
    return [text[:300] for text in shown(at) if "![x](" in text]


def texts(study: Path, folder: Path) -> Path:
    found = {
        "curvature.json": documents.curvature(None),
        "examples.json": documents.portraits(None),
        "landscape.json": slices.landscape(None),
        "audit.json": documents.audit(3),
    }
    return documents.documented(study, folder, {n: planted(v) for n, v in found.items()})


def images(study: Path, folder: Path) -> Path:
    return Path(shutil.copytree(write_image_study(folder / "made"), folder / "study"))


@pytest.mark.parametrize(("made", "others"), [(texts, "vision"), (images, "recall examples")])
def test_no_page_reads_markdown_of_a_study(
    monkeypatch: pytest.MonkeyPatch,
    study_path: Path,
    tmp_path: Path,
    made: Callable[[Path, Path], Path],
    others: str,
) -> None:
    folder = poisoned(made(study_path, tmp_path))
    found: list[str] = []
    reached = ""
    at = open_page(monkeypatch, folder, "studies")
    for page in pages.listed():
        at.switch_page(page.script).run()
        found += unescaped(at)
        if not re.search(page.path or "start", others):
            assert not [e.value for e in at.error if "does not hold" in e.value], page.title
        reached += "".join(shown(at))
    if made is texts:
        for number in NUMBERS:
            step = open_page(monkeypatch, folder, "start", step=number)
            found += unescaped(step)
            if step.radio:  # a guess, so that the answer is told
                step.radio[0].set_value(step.radio[0].options[0]).run()
                next(button for button in step.button if button.label == "Show me").click().run()
                found += unescaped(step)
    assert not found
    assert reached.count("evil.example") > 5


def test_an_address_and_an_unfit_study_are_no_markdown_either(
    monkeypatch: pytest.MonkeyPatch, study_path: Path, tmp_path: Path
) -> None:
    at = open_page(monkeypatch, study_path, mass=EVIL, present="1", show=EVIL)
    assert at.warning and not unescaped(at)
    copy = Path(shutil.copytree(study_path, tmp_path / "study"))
    text = (copy / "study.json").read_text(encoding="utf-8")
    (copy / "study.json").write_text(text.replace('"items.parquet"', f'"{EVIL}"'), encoding="utf-8")
    for page in ("recall", "studies"):
        at = open_page(monkeypatch, copy, page)
        assert at.error and not unescaped(at)


def test_what_is_escaped_reads_the_same() -> None:
    said = "At 99.2 %: λᵢμⱼ ≥ 3e-4 (a half), 2 of 3; so – “it” is."
    assert plain(said) == said
    assert plain(EVIL) == r"!\[x\](https\://evil.example/p.png)"
