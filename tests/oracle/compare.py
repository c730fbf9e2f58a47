"""The engine against three independent libraries and plain loops, in float64.

Gold labels, a Llama and a GPT-2, tiny. Prints the relative error of every comparison,
‖ours − theirs‖_F / ‖theirs‖_F of the worst projection, and fails above 1e-12. The last lines
compare different things on purpose: if those agreed, agreement would say nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.basis import bases, staircase_mask
from core.edit import Editor
from core.ekfac import collect_ekfac
from core.factors import Factors, collect
from core.projection import Projection
from tests.oracle import bergson, curvlinops, plain
from tests.oracle.kronfluence import Kronfluence
from tests.oracle.subjects import Subject, subjects

LIMIT = 1e-12
APART = 1e-3  # what two different quantities must differ by
MASSES = (0.3, 0.6, 0.9, 0.99)
BATCH = 7  # other batches than the libraries'
LIBRARIES = ("torch", "transformers", "curvlinops-for-pytorch", "kronfluence", "bergson")

Matrix = Tensor | NDArray[np.float64]
Row = tuple[str, str, float]


def compare() -> int:
    """Print the table; 1 if something is not as it must be."""
    print(", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    print("float64, gold labels; relative error in the Frobenius norm, of the worst projection\n")
    failed, worst = False, 0.0
    for subject in subjects():
        comparison = Comparison(subject)
        for row in comparison.same():
            agrees = row[2] <= LIMIT  # false for NaN
            failed, worst = failed or not agrees, max(worst, row[2])
            _print(subject, row, "" if agrees else "TOO LARGE")
        for row in comparison.different():
            apart = row[2] >= APART
            failed = failed or not apart
            _print(subject, row, "differs, as it must" if apart else "TOO ALIKE")
        print()
    verdict = "Not all is as it must be" if failed else "All comparisons agree"
    print(f"{verdict}; largest error {worst:.1e}, allowed {LIMIT:.0e}.")
    return int(failed)


def _print(subject: Subject, row: Row, remark: str) -> None:
    quantity, oracle, error = row
    line = f"{subject.name:<6} {quantity:<16} {oracle:<39} {error:.1e}  {remark}"
    print(line.rstrip(), flush=True)


class Comparison:
    """All quantities of one model, ours and theirs."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._factors = self._collect(subject.ragged)
        self._bases = bases(self._factors, subject.projections)
        self._ekfac = collect_ekfac(
            subject.model,
            subject.ragged,
            self._bases,
            subject.projections,
            labels="gold",
            batch_size=BATCH,
        )
        self._vectors = {n: (b.u_g.numpy(), b.u_a.numpy()) for n, b in self._bases.items()}
        rows = plain.rows(subject, subject.ragged)
        self._looped = {n: plain.covariances(rows, n) for n in subject.names}
        self._by_token = {
            n: plain.corrected_by_token(rows, n, *uv) for n, uv in self._vectors.items()
        }
        self._by_sequence = {
            n: plain.corrected_by_sequence(rows, n, *uv) for n, uv in self._vectors.items()
        }

    def same(self) -> Iterator[Row]:
        """What is compared, with whom, and the error."""
        subject, kronfluence = self._subject, Kronfluence(self._subject.copied())
        unpadded, padded = self._collect(subject.equal), self._factors
        by_curvlinops = curvlinops.covariances(curvlinops.collected(subject.copied()))
        by_kronfluence = kronfluence.covariances(kronfluence.collected())
        by_bergson = bergson.covariances(bergson.collected(subject.copied()))
        token = {n: entry.token for n, entry in self._ekfac.items()}
        sequence = {n: entry.sequence for n, entry in self._ekfac.items()}
        for ours, oracle, theirs in (
            (unpadded, "curvlinops, unpadded", by_curvlinops),
            (padded, "kronfluence, padded, last tokens cut", by_kronfluence),
            (padded, "bergson, padded", by_bergson),
            (padded, "a plain loop", self._looped),
        ):
            yield "A", oracle, max(error(ours.a(n), theirs[n][0]) for n in subject.names)
            yield "G", oracle, max(error(ours.g(n), theirs[n][1]) for n in subject.names)
        given = kronfluence.corrected_by_sequence(
            {n: (b.u_g, b.u_a) for n, b in self._bases.items()}
        )
        yield "Λ by sequence", "kronfluence, padded", self._worst(sequence, given)
        yield "Λ by sequence", "a plain loop", self._worst(sequence, self._by_sequence)
        yield "Λ by token", "a plain loop", self._worst(token, self._by_token)
        differ = float(sum(self._cells_that_differ(p) for p in subject.projections))
        yield "kept set", "a plain stable sort: cells that differ", differ
        for method in ("kfac", "kfac_c2", "ekfac_token", "ekfac_sequence"):
            oracle = f"a plain sort by {method}"
            yield "edited weights", oracle, self._edits(method, self._in_basis(method))
        oracle = "plain loops and SciPy from the start"
        yield "edited weights", oracle, self._edits("kfac", self._from_the_start)

    def different(self) -> Iterator[Row]:
        """Different things, which must differ."""
        subject, names = self._subject, self._subject.names
        sampled = collect(subject.model, subject.ragged, subject.projections)
        other = self._collect(subject.equal)
        least = min(error(sampled.g(n), self._looped[n][1]) for n in names)
        yield "G, sampled", "a plain loop, gold", least
        least = min(error(other.a(n), self._looped[n][0]) for n in names)
        yield "A", "a plain loop, other texts", least
        least = min(error(self._ekfac[n].sequence, self._by_token[n]) for n in names)
        yield "Λ by sequence", "a plain loop, by token", least

    def _worst(self, ours: Mapping[str, Matrix], theirs: Mapping[str, Matrix]) -> float:
        return max(error(ours[n], theirs[n]) for n in self._subject.names)

    def _cells_that_differ(self, projection: Projection) -> int:
        basis = self._bases[projection.name]
        products = np.outer(basis.lam, basis.mu)
        ours = [staircase_mask(basis.staircase.kept(m).k, len(basis.mu)) for m in MASSES]
        return sum(
            int((mask != plain.kept(products, mass)).sum())
            for mask, mass in zip(ours, MASSES, strict=True)
        )

    def _edits(self, method: str, theirs: Callable[[str, plain.Floats, float], Matrix]) -> float:
        """The worst error of the weights edited by `method`, over projections and masses."""
        subject = self._subject
        ekfac = self._ekfac if method.startswith("ekfac") else None
        editor = Editor(subject.model, self._bases, subject.projections, method, ekfac=ekfac)
        worst = 0.0
        for mass in MASSES:
            edited, _ = editor.at(mass)
            for projection in subject.projections:
                weight = projection.weight(subject.model).detach().numpy()
                ours = projection.weight(edited).detach()
                worst = max(worst, error(ours, theirs(projection.name, weight, mass)))
        return worst

    def _in_basis(self, method: str) -> Callable[[str, plain.Floats, float], Matrix]:
        """The edit in the engine's basis, by a score of its own making."""

        def edited(name: str, weight: plain.Floats, mass: float) -> Matrix:
            u_g, u_a = self._vectors[name]
            products = np.outer(self._bases[name].lam, self._bases[name].mu)
            score = {
                "kfac": products,
                "kfac_c2": products * (u_g.T @ weight @ u_a) ** 2,
                "ekfac_token": self._by_token[name],
                "ekfac_sequence": self._by_sequence[name],
            }[method]
            return plain.edited(weight, u_g, u_a, plain.kept(score, mass))

        return edited

    def _from_the_start(self, name: str, weight: plain.Floats, mass: float) -> Matrix:
        """The edit with nothing taken from the engine but the weight itself."""
        a, g = self._looped[name]
        (lam, u_g), (mu, u_a) = plain.decomposed(g), plain.decomposed(a)
        return plain.edited(weight, u_g, u_a, plain.kept(np.outer(lam, mu), mass))

    def _collect(self, texts: tuple[tuple[int, ...], ...]) -> Factors:
        subject = self._subject
        return collect(subject.model, texts, subject.projections, labels="gold", batch_size=BATCH)


def error(ours: Matrix, theirs: Matrix) -> float:
    """‖ours − theirs‖_F / ‖theirs‖_F."""
    mine, other = np.asarray(ours), np.asarray(theirs)
    assert mine.shape == other.shape, (mine.shape, other.shape)
    assert mine.dtype == other.dtype == np.float64, (mine.dtype, other.dtype)
    return float(np.linalg.norm(mine - other) / np.linalg.norm(other))
