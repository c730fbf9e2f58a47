"""The one-file page: whole, of this study, and safe to open; a browser test opens it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from core.study import Study
from dashboard import onefile, state
from dashboard.figures.measured import Measured

EVIL = "</script><script>document.title='taken'</script>"


def view_of(study: Study, recipe_id: str = "kfac") -> state.View:
    recipe = study.manifest.recipe(recipe_id)
    return state.View(study, Measured(study), recipe, 6, recipe.projections[0], "light")


def stored(page: bytes) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="stored">(.*?)</script>',
                      page.decode(), re.DOTALL)  # fmt: skip
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def test_the_file_holds_what_the_pages_show(study: Study) -> None:
    page = onefile.page(view_of(study))
    assert len(page) < 6_000_000
    held, recipe = stored(page), study.manifest.recipe("kfac")
    assert held["tick"] == 6 and held["bar"]["axis"]["settings"] == list(recipe.ticks)
    for live in held["live"].values():
        assert len(live["findings"]) == len(live["alts"]) == len(recipe.ticks)
        assert all(alt.endswith(".") for alts in live["alts"] for alt in alts)
    rows = [row for page in held["texts"]["memory"] for row in page["rows"]]
    assert len(rows) > 6 and len({row["id"] for row in rows}) == len(rows)
    assert [one["id"] for one in held["figures"]["fixed"]] == [
        "controls", "repeats", "eigenvalues", "multiples"
    ]  # fmt: skip
    for one in (figure for figures in held["figures"].values() for figure in figures):
        assert one["alt"].endswith(".") and one["table"]["rows"]
        assert one["light"]["data"] and one["dark"]["data"]
        assert one["config"]["toImageButtonOptions"]["format"] == "svg"
    # Nothing in it points to another place, and the policy forbids it.
    outside = page.replace(onefile._plotly().encode(), b"")
    assert not re.search(rb"(src|href)\s*=\s*[\"']?(https?:)?//", outside)
    assert b"default-src 'none'" in outside


def test_no_text_of_a_study_is_markup(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def evil(view: state.View, kind: str) -> list[Mapping[str, Any]]:
        return [{"rows": [{"prompt": EVIL}], "title": EVIL}]

    monkeypatch.setattr(onefile, "_texts", evil)
    page = onefile.page(view_of(study))
    assert EVIL.encode() not in page
    assert stored(page)["texts"]["memory"][0]["title"] == EVIL


def test_an_edit_that_is_no_cut_by_curvature_keeps_every_direction(study: Study) -> None:
    held = stored(onefile.page(view_of(study, "svd")))
    spectrum = held["live"]["spectrum-live"]["figures"][0]
    assert set(spectrum["kept"]) == {spectrum["total"]}
