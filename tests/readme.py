"""Write measured tables into the README: `make readme`.

Those of each shipped study between two marks, those of `make bench` between two others.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.acceptance import markdown
from core.manifest import read_json

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
ACCEPTANCE = ROOT / "assets" / "language" / "study" / "acceptance.json"
ACCEPTANCE_OF_IMAGES = ROOT / "assets" / "vision" / "study" / "acceptance.json"
BENCHMARKS = ROOT / "tests" / "benchmarks" / "results.json"
BEGIN = "<!-- measured: begin (filled by `make readme` from the shipped study) -->\n"
END = "<!-- measured: end -->\n"
IMAGES_BEGIN = (
    "<!-- measured, images: begin (filled by `make readme` from the shipped study of images) -->\n"
)
IMAGES_END = "<!-- measured, images: end -->\n"
BENCH_BEGIN = (
    "<!-- benchmarks: begin (filled by `make readme` from tests/benchmarks/results.json) -->\n"
)
BENCH_END = "<!-- benchmarks: end -->\n"

OPEN = 3  # tables of a study that a reader sees at once

TOOLS = {
    "hillshade": "Hillshade",
    "curvlinops": "curvlinops",
    "kronfluence": "kronfluence",
    "bergson": "bergson",
    "plain_loop": "a plain loop",
}


def filled(text: str) -> str:
    """The README's text with the tables between their marks; where no marks stand, none."""
    text = _between(text, BEGIN, END, lambda: folded(read_json(ACCEPTANCE)))
    text = _between(text, IMAGES_BEGIN, IMAGES_END, lambda: folded(read_json(ACCEPTANCE_OF_IMAGES)))
    return _between(text, BENCH_BEGIN, BENCH_END, lambda: benchmarks(read_json(BENCHMARKS)))


def folded(document: Mapping[str, Any]) -> str:
    """The tables of a study; all but the first few open on a click."""
    parts = []
    for number, table in enumerate(document["tables"]):
        title, _, rest = markdown({"tables": [table]}).partition("\n\n")
        summary = f"<details><summary>{title.strip('*')}</summary>"
        parts.append(
            f"{title}\n\n{rest}" if number < OPEN else f"{summary}\n\n{rest}\n</details>\n"
        )
    return "\n".join(parts)


def benchmarks(document: Mapping[str, Any]) -> str:
    """The tables of `make bench`: collecting factors tool by tool, then the other comparisons."""
    here, results = document["environment"], document["results"]
    collection, selection = results["collection"], results["selection"]
    slices, recall = results["slices"], results["recall"]
    rows = [
        (
            name,
            f"{collection[f'{tool}_tokens_per_s']:.0f}",
            f"{collection[f'{tool}_peak_MB'] / 1000:.2f} GB",
            f"{collection[f'{tool}_share_of_products']:.0%}",
            f"{collection[f'{tool}_own_share_of_products']:.0%}",
            "" if tool == "hillshade" else f"{collection[f'ours_over_{tool}']:.2f}×",
        )
        for tool, name in TOOLS.items()
    ]
    last = max(key for key in slices if key.endswith("_down_ratio")).removesuffix("_ratio")
    others = [
        _other(
            f"kept set of {selection['mass_0.99_pairs']:,} pairs, {selection['grid']}",
            selection["mass_0.99_ms"],
            {
                "heap": selection["heap_mass_0.99_ms"],
                "full sort": selection["full_sort_mass_0.99_ms"],
            },
        ),
        _other(
            f"slice {slices['grid']}, last layer's down, a point",
            slices[f"{last}_ms_a_point"],
            {
                "weight copies": slices[f"{last}_copied_ms_a_point"],
                "`loss-landscapes`": slices[f"{last}_loss_landscapes_ms_a_point"],
            },
        ),
        _other(
            f"strict recall, {recall['tokens_of_suffix']} tokens, a string",
            recall["one_pass_ms_a_string"],
            {
                "generated one by one": recall["generated_one_by_one_ms_a_string"],
                "generated in one batch": recall["generated_in_one_batch_ms_a_string"],
            },
        ),
    ]
    return "\n".join(
        [
            "| collecting factors | tokens/s | peak memory | share of product speed "
            "| by its own count | Hillshade is faster |",
            "|---|---:|---:|---:|---:|---:|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            f"A model of {collection['weights']:,} random weights ({collection['model']}), all "
            f"MLP projections, {collection['tokens']:,} tokens, float32, gold labels; medians. "
            f"Product speed: `torch.mm` at {collection['product_GFLOP_per_s']:.0f} GFLOP/s. The "
            "first share counts what the factors need at least, the second what the tool itself "
            f"multiplies. {collection['share_of_time_in_passes']:.0%} of Hillshade's time are the "
            "forward and backward passes.",
            "",
            "| | Hillshade | other ways |",
            "|---|---:|---|",
            *others,
            "",
            f"Measured on {here['processor']}, {here['threads']} threads, PyTorch "
            f"{here['packages']['torch']}, load {here['load_before']} before, {here['date']}.",
            "",
        ]
    )


def _other(task: str, ours_ms: float, ways: Mapping[str, float]) -> str:
    told = (f"{way} {_short(ms)} ms ({_short(ms / ours_ms)}×)" for way, ms in ways.items())
    return f"| {task} | {_short(ours_ms)} ms | {'; '.join(told)} |"


def _short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _between(text: str, begin: str, end: str, tables: Callable[[], str]) -> str:
    before, mark, rest = text.partition(begin)
    if not mark:
        return text
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{tables()}\n{end}{after}"


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
