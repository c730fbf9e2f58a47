"""The sharpest directions of chosen weights: top eigenvectors of the Hessian or the GGN.

Lanczos needs products with the matrix only, two to four passes over the texts each
(`core.landscape.restricted`). `scipy.sparse.linalg.eigsh` (ARPACK) does the rest: the implicitly
restarted Lanczos method, its basis orthogonalised in full at every step, which plain Lanczos loses.
Source: Lehoucq, Sorensen, Yang 1998, *ARPACK Users' Guide*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from transformers import PreTrainedModel

from core.errors import HillshadeError
from core.landscape.directions import Ray
from core.landscape.restricted import RestrictedLoss
from core.landscape.texts import Texts
from core.projection import Projection

Matrix = Literal["hessian", "ggn"]


@dataclass(frozen=True, eq=False)
class Sharpest:
    """The k largest eigenvalues of a matrix, descending, with the evidence for them.

    values      float64 (k,): in nats per counted token and squared weight; fewer than asked for
                where not all converged
    rays        the eigenvectors, of length 1
    residuals   float64 (k,): ‖M v − λ v‖ / max |λ|
    products    matrix-vector products that it took
    converged   whether all that were asked for reached the tolerance
    """

    matrix: Matrix
    values: NDArray[np.float64]
    rays: tuple[Ray, ...]
    residuals: NDArray[np.float64]
    products: int
    converged: bool


def sharpest(
    model: PreTrainedModel,
    projections: Sequence[Projection],
    texts: Texts,
    matrix: Matrix,
    *,
    k: int = 2,
    seed: int = 0,
    tolerance: float = 1e-4,
    restarts: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> Sharpest:
    """The k largest (most positive) eigenvalues of the block of `matrix` that `projections` span.

    `matrix` is the Hessian of the mean loss per counted token, or its generalised Gauss–Newton
    part. ARPACK accepts a pair when its residual is below tolerance · |λ|; products in float32
    carry errors of about 1e-6, so a smaller tolerance than 1e-5 needs a float64 model. ``seed``
    draws the starting vector. What has not converged after `restarts` is left out, not guessed.

    `progress(done, most)` counts products, at most so many, and may raise to cancel.
    Raises HillshadeError where k is not from 1 to below the number of weights, and where products
    are not finite or nothing converged.
    """
    if matrix not in ("hessian", "ggn"):
        raise HillshadeError(f"The matrix {matrix!r} is unknown; choose 'hessian' or 'ggn'.")
    loss = RestrictedLoss(model, projections, texts)
    if not 1 <= k < loss.size:
        raise HillshadeError(
            f"{k} eigenvalues are impossible; choose from 1 to {loss.size - 1}, below the number "
            "of weights."
        )
    multiply = loss.hessian if matrix == "hessian" else loss.ggn
    basis = min(loss.size, max(2 * k + 1, 20))
    most = basis + restarts * (basis - k) + k
    products = 0

    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        nonlocal products
        found = multiply(vector.ravel())
        if not np.isfinite(found).all():
            raise HillshadeError(
                f"A product with the {matrix} is not finite; check the weights, or load the model "
                "in a wider dtype."
            )
        products += 1
        if progress is not None:
            progress(min(products, most), most)
        return found

    operator = LinearOperator((loss.size, loss.size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(loss.size)
    converged = True
    try:
        values, vectors = eigsh(
            operator, k, which="LA", v0=start, ncv=basis, tol=tolerance, maxiter=restarts
        )
    except ArpackNoConvergence as error:
        converged, values, vectors = False, error.eigenvalues, error.eigenvectors
    if not len(values):
        raise HillshadeError(
            f"No eigenvalue of the {matrix} converged in {products} products; allow more restarts "
            "or a larger tolerance."
        )
    order = np.argsort(-values)
    values, vectors = values[order], vectors[:, order]
    residuals = [
        float(np.linalg.norm(product(vector) - value * vector))
        for value, vector in zip(values, vectors.T, strict=True)
    ]
    rays = tuple(
        Ray(
            loss.direction(vector),
            {
                "kind": f"{matrix} eigenvector",
                "rank": rank,
                "eigenvalue": float(value),
                "texts_digest": texts.digest,
                "seed": seed,
            },
        )
        for rank, (value, vector) in enumerate(zip(values, vectors.T, strict=True))
    )
    scale = float(np.abs(values).max())
    relative = np.array(residuals) / scale if scale > 0.0 else np.array(residuals)
    return Sharpest(matrix, values, rays, relative, products, converged)
