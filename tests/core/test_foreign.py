"""Other tools' factors become the engine's own, and a hostile file does nothing."""
# ruff: noqa: TID251 (files that are to be refused must first be written)

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core import unpickle
from core.basis import bases
from core.edit import Editor
from core.errors import HillshadeError
from core.factors import Factors, collect
from core.foreign import read_factors
from core.projection import find_projections, select
from tests.core.test_cli import run
from tests.tiny import TEXTS, tiny

MODEL = tiny("olmo2", torch.float32).eval()
PROJECTIONS = select(find_projections(MODEL), [1, 2])
OURS = collect(MODEL, TEXTS, PROJECTIONS)
SCALED = 1 / 37.0  # a mean over batches leaves such a factor in G


def paper_entries() -> dict[str, dict[str, Tensor]]:
    """What the paper's script writes: means, named by block and kind."""
    return {
        f"blk{p.layer}.{p.kind}": {
            "A": OURS.a(p.name).float(),
            "G": (OURS.g(p.name) * SCALED).float(),
            "n_tokens": torch.tensor(OURS.count),
        }
        for p in PROJECTIONS
    }


def papers(folder: Path) -> Path:
    path = folder / "kfac_factors_blk_1_2.pt"
    torch.save(paper_entries(), path)
    return path


def kronfluences(folder: Path) -> Path:
    """Sums by full name, and a one appended to every input."""
    count = torch.tensor([OURS.count])
    widened = {p.name: torch.nn.functional.pad(OURS.a_sums[p.input_key], (0, 1, 0, 1), value=3.0)
               for p in PROJECTIONS}  # fmt: skip
    gradients = {p.name: OURS.g_sums[p.name] * SCALED for p in PROJECTIONS}
    for kind, sums in (("activation_covariance", widened), ("gradient_covariance", gradients)):
        save_file(sums, folder / f"{kind}.safetensors")
        save_file(
            {name: count.clone() for name in sums}, folder / f"num_{kind}_processed.safetensors"
        )
    return folder


def bergsons(folder: Path) -> Path:
    """Sums by the base model's names, in two shards of rows."""
    for where, sums in (
        ("activation_sharded", {p.name: OURS.a_sums[p.input_key] for p in PROJECTIONS}),
        ("gradient_sharded", {p.name: OURS.g_sums[p.name] * SCALED for p in PROJECTIONS}),
    ):
        (folder / where).mkdir()
        for number in (0, 1):
            rows = {n.removeprefix("model."): s.chunk(2)[number].clone() for n, s in sums.items()}
            save_file(rows, folder / where / f"shard_{number}.safetensors")
    torch.save(torch.tensor(OURS.count), folder / "total_processed.pt")
    return folder


@pytest.mark.parametrize("write", [papers, kronfluences, bergsons])
def test_they_become_our_sums_and_make_the_same_edit(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    found = read_factors(write(tmp_path), MODEL, "gold")
    assert (found.projections, found.count, found.labels) == (PROJECTIONS, OURS.count, "gold")
    assert found.scale == "unknown"
    for p in PROJECTIONS:
        assert torch.allclose(found.a(p.name), OURS.a(p.name), rtol=1e-5)
        assert torch.allclose(found.g(p.name), OURS.g(p.name) * SCALED, rtol=1e-5, atol=1e-9)
    ours, theirs = (
        Editor(MODEL, bases(factors, PROJECTIONS), PROJECTIONS, "kfac").kept(0.9)
        for factors in (OURS, found)
    )
    assert [len(kept) for kept in (ours, theirs)] == [6, 6]
    for name in ours:
        assert ours[name].count == theirs[name].count  # free of the factor on G
    path = tmp_path / "factors.safetensors"
    found.save(path)
    again = Factors.load(path)
    assert again.scale == "unknown"
    with pytest.raises(HillshadeError, match="unknown scale"):
        again.mixed(again, 0.5)
    if write is kronfluences:
        assert read_factors(tmp_path, MODEL, "gold", summed=True).scale == "summed"


def test_means_in_half_precision_are_widened_before_they_are_summed(tmp_path: Path) -> None:
    made = paper_entries()
    for entry in made.values():
        entry |= {"A": entry["A"].half(), "G": entry["G"].half()}
        entry["n_tokens"] = torch.tensor(20_000_000)
    torch.save(made, tmp_path / "half.pt")
    found = read_factors(tmp_path / "half.pt", MODEL, "sampled")
    for p in PROJECTIONS:
        assert torch.allclose(found.a(p.name), OURS.a(p.name), rtol=2e-3, atol=1e-6)


class Hostile:
    """A pickle that would make a file where it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.target, "opened")


def test_a_hostile_pickle_is_refused_and_does_nothing(tmp_path: Path) -> None:
    trap, bait = tmp_path / "trap", tmp_path / "kfac_factors_blk_1.pt"
    torch.save({"blk1.up": {"A": Hostile(trap), "G": Hostile(trap), "n_tokens": 1}}, bait)
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(Hostile(trap)))
    pickle.loads(plain.read_bytes())  # the trap works
    assert trap.read_text() == "opened"
    trap.unlink()
    for path in (bait, plain):
        with pytest.raises(HillshadeError, match="holds more than tensors"):
            read_factors(path, MODEL, "gold")
    assert not trap.exists()


def test_a_tensor_larger_than_its_data_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a file of a few bytes would fill memory and disk."""
    source, target = tmp_path / "small.pt", tmp_path / "large.safetensors"
    torch.save({"A": torch.eye(3).T, "G": torch.zeros(1).expand(1000, 1000)}, source)
    assert source.stat().st_size < 2000
    assert unpickle.main(str(source), str(target)) == unpickle.REFUSED
    assert "G is larger than its data" in capsys.readouterr().err and not target.exists()
    torch.save({"A": torch.eye(3).T}, source)
    assert unpickle.main(str(source), str(target)) == 0
    assert torch.equal(load_file(target)["A"], torch.eye(3))


def _another_name(data: dict[str, dict[str, Tensor]]) -> None:
    data["blk7.up"] = data["blk1.up"]


def _another_shape(data: dict[str, dict[str, Tensor]]) -> None:
    data["blk1.up"]["G"] = data["blk1.up"]["G"][:-3, :-3].clone()


def _a_bias_of_gradients(data: dict[str, dict[str, Tensor]]) -> None:
    entry = data["blk1.up"]
    entry["G"] = torch.nn.functional.pad(entry["G"], (0, 1, 0, 1))


def _upper_half(data: dict[str, dict[str, Tensor]]) -> None:
    data["blk1.up"]["G"] = data["blk1.up"]["G"].triu()


def _negative(data: dict[str, dict[str, Tensor]]) -> None:
    data["blk1.up"]["G"] *= -1


def _not_finite(data: dict[str, dict[str, Tensor]]) -> None:
    data["blk1.up"]["A"][0, 0] = torch.nan


def _two_inputs(data: dict[str, dict[str, Tensor]]) -> None:
    data["blk1.gate"]["A"] = data["blk1.gate"]["A"] * 2


def _two_counts(data: dict[str, dict[str, Tensor]]) -> None:
    data["blk1.up"]["n_tokens"] = torch.tensor(3)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_another_name, "holds blk7.up, which this model does not have"),
        (_another_shape, "G of model.layers.1.mlp.up_proj is 17 × 17"),
        (_a_bias_of_gradients, "G of model.layers.1.mlp.up_proj is 21 × 21"),
        (_upper_half, "is no sum of squares"),
        (_negative, "is no sum of squares"),
        (_not_finite, "holds NaN or infinity"),
        (_two_inputs, "two different A"),
        (_two_counts, "positions; give a file of one collection"),
    ],
)
def test_what_does_not_fit_is_refused(
    spoil: Callable[[dict[str, dict[str, Tensor]]], None], said: str, tmp_path: Path
) -> None:
    path, made = tmp_path / "factors.pt", paper_entries()
    spoil(made)
    torch.save(made, path)
    with pytest.raises(HillshadeError) as error:
        read_factors(path, MODEL, "gold")
    assert said in str(error.value)


def test_the_command_says_that_the_scale_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MODEL.save_pretrained(tmp_path / "model")
    out = tmp_path / "factors.safetensors"
    options: list[str | Path] = ["--model", tmp_path / "model", "--labels", "gold", "--out"]
    assert not run(monkeypatch, "import", papers(tmp_path), *options, out)
    assert "scale of G is unknown" in capsys.readouterr().out
    assert Factors.load(out).count == OURS.count
    nothing = tmp_path / "model" / "config.json"
    refused = run(monkeypatch, "import", nothing, *options, tmp_path / "other.safetensors")
    assert "is no factors of another tool" in str(refused)
