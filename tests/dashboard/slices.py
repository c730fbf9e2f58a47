"""landscape.json made up for any outcome: valleys of known curvature, in the form the engine tells.

`landscape(True)` is a world in which a string's spike is its own, `False` one in which fresh text
feels it as much, `None` one in between. Items are those of the small study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

UP = "model.layers.1.mlp.up_proj"
STRING, SECOND = "passage-022", "passage-024"  # of the class shown most, reporting half
NORM = 20.0
TEXTS = {"string": 1, "second": 1, "memorized": 10, "fresh": 12, "probes": 12}
ALPHA = tuple(round(0.02 * n, 10) for n in range(-15, 16))
SIDE = tuple(round(0.1 * n, 10) for n in range(-3, 4))
SHARES = tuple(round(0.125 * n, 10) for n in range(-4, 13))
OWN = 40.0  # nats a token and ‖W‖²: half of it times (.1 ‖W‖)² is .2


def group(key: str, rise: np.ndarray, slope: int, ggn: float | None, broken: float) -> Any:
    """A group whose rises are known; its texts are broken where the rise exceeds `broken`."""
    texts = TEXTS[key]
    found: dict[str, Any] = {
        "texts": texts,
        "tokens": 20 * texts,
        "base": 1.5 if key == "fresh" else 0.05,
        "base_half": 0.01,
        "rise": rise.tolist(),
        "half": (0.1 * np.abs(rise) if texts > 1 else 0.0 * rise).tolist(),
        "right": np.where(rise > broken, 0, 0 if key == "fresh" else texts).tolist(),
        "slope": [0.0] * slope,
    }
    return found if ggn is None else found | {"ggn": ggn}


def axis(kind: str, values: tuple[float, ...], wanted: Mapping[str, Any] | None) -> dict[str, Any]:
    origin = {"kind": kind} | {k: v for k, v in (wanted or {}).items() if k != "kind"}
    if kind == "spike":
        origin |= {"example": str(origin.pop("item")), "draws": 1}
    edit = kind == "edit"
    return {
        "wanted": wanted,
        "origin": origin,
        "digest": "0" * 64,
        "values": list(values),
        "unit": 8.0 if edit else NORM,
        "unit_of": "direction" if edit else "weights",
    }


def told(axes: list[dict[str, Any]], groups: Mapping[str, Any], share: float) -> dict[str, Any]:
    return {
        "axes": axes,
        "projections": [UP],
        "norm": NORM,
        "mass_share": share,
        "kfac": (np.eye(len(axes)) * 0.01).tolist(),
        "texts_digest": "0" * 64,
        "weights": {UP: "0" * 64},
        "groups": dict(groups),
    }


def line(
    kind: str,
    wanted: Mapping[str, Any] | None,
    curvature: Mapping[str, float],
    *,
    exact: bool = True,
    share: float = 1e-3,
) -> dict[str, Any]:
    """One direction: parabolas of these curvatures; `exact` κ is right, else a hundredth of it."""
    values = SHARES if kind == "edit" else ALPHA
    x = np.array(values)
    unit = 8.0 if kind == "edit" else NORM
    groups = {
        key: group(key, 0.5 * c * x**2, 1, (c if exact else c / 100) / unit**2, 0.3)
        for key, c in curvature.items()
    }
    return told([axis(kind, values, wanted)], groups, share)


def wanted(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "projection": UP, "seed": 0} | more


def landscape(outcome: bool | None = True) -> dict[str, Any]:
    """The whole document of a world."""
    fresh = {True: 0.02, False: OWN, None: OWN / 2}[outcome]
    own = {"string": OWN, "memorized": 1.0, "fresh": fresh, "probes": 0.02}
    flat = dict.fromkeys(own, 0.001)
    hill = flat | {"fresh": 30.0}
    spike, high, low = (
        wanted("spike", item=STRING),
        wanted("eigendirection", i=0, j=0),
        wanted("eigendirection", i=40, j=20),
    )
    cut = {"string": 1.0, "memorized": 1.0, "fresh": 0.02, "probes": 0.04}
    edit = {"kind": "edit", "recipe": "kfac", "setting": 0.98, "seed": 0}
    lines = {
        "spike": line("spike", spike, own),
        "high": line("eigendirection", high, hill, share=0.1),
        "middle": line("eigendirection", wanted("eigendirection", i=9, j=9), flat),
        "low": line("eigendirection", low, flat),
        "random": line("filter-normalised random", wanted("random"), flat),
        "edit": line("edit", edit, cut, exact=False),
        "ggn": line("ggn eigenvector", None, hill),
    }
    x, y = np.meshgrid(SIDE, SIDE, indexing="ij")
    both = {
        "string": OWN * x**2 / 2,
        "second": OWN * y**2 / 2,
        "memorized": (x**2 + y**2) / 2,
        "fresh": fresh * (x**2 + y**2) / 2,
        "probes": 0.02 * (x**2 + y**2) / 2,
    }
    ridge = dict.fromkeys(both, 0.001 * (x**2 + y**2)) | {"fresh": 15.0 * x**2}

    def plane(one: dict[str, Any], other: dict[str, Any], rises: Mapping[str, Any]) -> Any:
        axes = [axis(w["kind"], SIDE, w) for w in (one, other)]
        return told(axes, {k: group(k, rise, 2, None, 0.3) for k, rise in rises.items()}, 2e-3)

    return {
        "projection": UP,
        "recipe": "kfac",
        "setting": 0.98,
        "string": STRING,
        "second": SECOND,
        "picked": {"step": 0.1, "rise": 0.2, "of": 12},
        "items": {"memorized": [STRING, SECOND], "probes": []},
        "fresh": {"from": 5, "ids": [[1, 2, 3, 4, 5, 6, 7, 8, 9]] * 12},
        "lines": lines,
        "planes": {
            "spikes": plane(spike, wanted("spike", item=SECOND), both),
            "hills": plane(high, low, ridge),
        },
    }
