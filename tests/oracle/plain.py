"""Slow and simple: one sequence at a time, one token at a time, one sort. No code of the engine."""

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.oracle.subjects import Subject

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """a_t and g_t of every counted token of one sequence, by projection."""

    a: dict[str, Floats]
    g: dict[str, Floats]


def rows(subject: Subject, texts: tuple[tuple[int, ...], ...]) -> list[Rows]:
    """Gold labels, unpadded; the last token of a text is not read at all, only predicted."""
    return [_rows(subject, text) for text in texts]


def _rows(subject: Subject, text: tuple[int, ...]) -> Rows:
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    handles = []
    for name in subject.names:

        def keep(module: object, args: tuple[Tensor], output: Tensor, name: str = name) -> None:
            inputs[name], outputs[name] = args[0], output

        handles.append(subject.model.get_submodule(name).register_forward_hook(keep))
    logits = subject.model(torch.tensor([text[:-1]])).logits[0]
    for handle in handles:
        handle.remove()
    loss = cross_entropy(logits, torch.tensor(text[1:]), reduction="sum")
    gradients = torch.autograd.grad(loss, list(outputs.values()))
    width = len(text) - 1
    return Rows(
        a={name: x.detach().reshape(width, -1).numpy() for name, x in inputs.items()},
        g={n: g.reshape(width, -1).numpy() for n, g in zip(outputs, gradients, strict=True)},
    )


def covariances(sequences: list[Rows], name: str) -> tuple[Floats, Floats]:
    """A and G, token by token."""
    a = sum(np.outer(x, x) for s in sequences for x in s.a[name]) / _tokens(sequences, name)
    g = sum(np.outer(x, x) for s in sequences for x in s.g[name]) / _tokens(sequences, name)
    return np.asarray(a), np.asarray(g)


def corrected_by_token(sequences: list[Rows], name: str, u_g: Floats, u_a: Floats) -> Floats:
    """Λᵗᵒᵏ_ij = (1/T) Σ_t (u_iᵀ g_t)² (v_jᵀ a_t)²."""
    total = np.zeros((u_g.shape[1], u_a.shape[1]))
    for sequence in sequences:
        for a, g in zip(sequence.a[name], sequence.g[name], strict=True):
            total += np.outer((g @ u_g) ** 2, (a @ u_a) ** 2)
    return total / _tokens(sequences, name)


def corrected_by_sequence(sequences: list[Rows], name: str, u_g: Floats, u_a: Floats) -> Floats:
    """Λˢᵉᑫ_ij = (1/T) Σ_n (Σ_{t∈n} u_iᵀ g_t v_jᵀ a_t)²."""
    total = np.zeros((u_g.shape[1], u_a.shape[1]))
    for sequence in sequences:
        gradient = np.zeros((u_g.shape[0], u_a.shape[0]))
        for a, g in zip(sequence.a[name], sequence.g[name], strict=True):
            gradient += np.outer(g, a)
        total += (u_g.T @ gradient @ u_a) ** 2
    return total / _tokens(sequences, name)


def decomposed(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues, descending, and eigenvectors by SciPy's divide and conquer."""
    values, vectors = scipy.linalg.eigh((matrix + matrix.T) / 2, driver="evd")
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def kept(score: Floats, mass: float) -> NDArray[np.bool_]:
    """The fewest pairs of largest score that reach the mass: one stable sort and one running sum.

    Reached up to 1e-12 of it (the rule of the engine); the sum is exact until it is rounded.
    """
    flat = score.ravel()
    order = np.argsort(-flat, kind="stable")
    target = mass * (1.0 - 1e-12) * math.fsum(flat)
    mask = np.zeros(flat.size, dtype=bool)
    for count in range(flat.size + 1):
        if math.fsum(flat[order[:count]]) >= target:
            mask[order[:count]] = True
            break
    return mask.reshape(score.shape)


def edited(weight: Floats, u_g: Floats, u_a: Floats, mask: NDArray[np.bool_]) -> Floats:
    """W' = Σ over kept pairs of (u_iᵀ W v_j) u_i v_jᵀ, pair by pair."""
    total = np.zeros_like(weight)
    for i, j in np.argwhere(mask):
        total += (u_g[:, i] @ weight @ u_a[:, j]) * np.outer(u_g[:, i], u_a[:, j])
    return total


def _tokens(sequences: list[Rows], name: str) -> int:
    return sum(len(sequence.a[name]) for sequence in sequences)
