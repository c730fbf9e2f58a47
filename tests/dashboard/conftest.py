from pathlib import Path

import pytest

from core.study import Study
from dashboard.figures.measured import Measured
from tests.dashboard.studies import whole_study


@pytest.fixture(scope="session")
def study_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_study(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def study(study_path: Path) -> Study:
    return Study.open(study_path)


@pytest.fixture(scope="session")
def measured(study: Study) -> Measured:
    return Measured(study)
