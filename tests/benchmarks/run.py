"""`make bench`: run every bench_*.py beside this file, print a table, write results.json.

    python -m tests.benchmarks.run selection recall    # these alone, printed only

A benchmark module offers `run() -> dict[str, float | int | str]`, one entry a measured quantity,
its unit in the name. Timings mean something only on an idle machine: the load is recorded too.
"""

import importlib
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ("numpy", "plotly", "streamlit", "torch", "transformers")


def environment() -> dict[str, object]:
    """What the numbers were measured on."""
    import torch

    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def main(wanted: list[str]) -> None:
    """Run every benchmark and write the report; with names, run only those and only print."""
    surroundings = environment()
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    results: dict[str, dict[str, float | int | str]] = {}
    started = time.monotonic()
    for name in wanted or names:
        print(f"\n{name}, {time.monotonic() - started:.0f} s after the start", flush=True)
        results[name] = importlib.import_module(f"tests.benchmarks.bench_{name}").run()
        width = max(map(len, results[name]))
        for quantity, value in results[name].items():
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            print(f"  {quantity:<{width}}  {shown}", flush=True)
    print(f"\n{json.dumps(surroundings, ensure_ascii=False)}")
    if not wanted:
        document = {"environment": surroundings, "results": results}
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
