from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

from tests.browser.driver import served
from tests.dashboard.studies import whole_study


@pytest.fixture(scope="session")
def playwright(chromium_path: str) -> Iterator[Playwright]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_study(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="session")
def address(chromium_path: str, study_folder: Path) -> Iterator[str]:
    with served(study_folder) as url:
        yield url
