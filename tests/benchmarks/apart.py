"""Measurements in a process of their own, in the environment of `make oracle`.

There the engine and the other libraries stand on the same Python and PyTorch. `make bench` makes
that environment first: a table that leaves the others out on some machines compares nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Quiet, and off the network.
_SETTINGS = {"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}


def interpreter() -> Path:
    """The Python of that environment (ORACLE names another folder); SystemExit if there is none."""
    python = ROOT / os.environ.get("ORACLE", ".venv-oracle") / "bin" / "python"
    if not python.exists():
        raise SystemExit(
            f"The other libraries are not installed in {python.parents[1]}; run `make bench`, "
            "which installs them, or name their environment: make bench ORACLE=FOLDER."
        )
    return python


def measured(module: str, *arguments: str) -> dict[str, Any]:
    """The last line that `python -m module arguments` prints, read as JSON."""
    ran = subprocess.run(
        [str(interpreter()), "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | _SETTINGS,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{ran.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found
