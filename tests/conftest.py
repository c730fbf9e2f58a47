"""What every test gets: no network, repeatable examples, and a Chromium where there is one."""

import os

# Before anything imports transformers or streamlit: both read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny matrices: more threads only wait
os.environ["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] = "false"

import pytest
from hypothesis import settings

from tests import browser_setup

# The same examples on every run and machine, and no wall clock in a verdict.
settings.register_profile("hillshade", deadline=None, derandomize=True, database=None)
settings.load_profile("hillshade")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The Chromium to drive; the test is skipped without one, or fails under CI=true."""
    path = browser_setup.find()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(browser_setup.ADVICE)
        pytest.skip(browser_setup.ADVICE)
    return path
