from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from core.study import Study
from dashboard import loading
from dashboard.figures.measured import Measured
from dashboard.making import maker
from tests.dashboard.studies import whole_study


@pytest.fixture(autouse=True)
def _fresh_caches() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def own_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that knows no study of one's own, and makes none after the test."""
    monkeypatch.setattr(loading, "OWN", tmp_path / "own")
    monkeypatch.setattr(loading, "_added", {})
    yield
    maker.close()


@pytest.fixture(scope="session")
def study_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_study(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def study(study_path: Path) -> Study:
    return Study.open(study_path)


@pytest.fixture(scope="session")
def measured(study: Study) -> Measured:
    return Measured(study)
