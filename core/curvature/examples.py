"""Examples, and the rows a_t and g_t that their losses leave at a projection.

The loss of an example is the sum over its *counted* positions: for a memorized string those that
predict its suffix. g_t is the gradient of that sum, so a position of the prefix whose output the
suffix attends to has a row too (in the last block it has none), and

    ∇_x = Σ_t g_t a_tᵀ    (p × q)

is exactly the gradient of the example's loss with respect to W. T_x, by which curvatures are
divided, is the number of counted positions: 1 for an image (`core.images`), which is an example as
it is, and whose rows are those of its class token and all patches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import HillshadeError
from core.images import Image, Images
from core.items import Item
from core.labels import Labels, draw_labels, keyed_uniforms, predictions
from core.projection import Projection
from core.rows import Tap
from core.samples import Batch, Sample, batches, placed, readable
from core.twin import twin

Progress = Callable[[int, int], None]

_BATCH = 25  # texts of one pass; a few thousand tokens fill the processor's cache best
_IGNORED = -100  # a label without a loss (the convention of torch's cross entropy)


@dataclass(frozen=True)
class Example:
    """Token ids, and the positions t whose prediction of token t + 1 counts."""

    ids: tuple[int, ...]
    counted: range

    def __post_init__(self) -> None:
        inside = range(len(self.ids) - 1)
        if not self.counted or self.counted[0] not in inside or self.counted[-1] not in inside:
            raise HillshadeError(
                f"Of {len(self.ids)} tokens the positions {self.counted} cannot count; choose "
                f"some of 0 to {len(self.ids) - 2}, which predict the tokens after them."
            )

    @classmethod
    def of_item(cls, item: Item) -> Example:
        """A string counts in its suffix, a question in its answer."""
        first = len(item.prompt_ids) - 1
        return cls(item.prompt_ids + item.truth_ids, range(first, item.length - 1))

    @classmethod
    def of_text(cls, ids: Sequence[int]) -> Example:
        """A text in which every prediction counts."""
        return cls(tuple(ids), range(len(ids) - 1))

    @property
    def content(self) -> tuple[int, ...]:
        """What the model reads."""
        return self.ids

    @property
    def tokens(self) -> int:
        """T_x."""
        return len(self.counted)


Examples = Sequence[Example | Image]


def readable_examples(model: nn.Module, examples: Examples) -> Sample:
    """What the examples consist of, as `core.samples.batches` takes it; of images all positions."""
    images = [example for example in examples if isinstance(example, Image)]
    if len(images) == len(examples) > 0:
        return readable(Images(images, "all"), model)
    if images:
        raise HillshadeError("Texts and images cannot be read together; give one or the other.")
    return readable([example.ids for example in examples if isinstance(example, Example)], model)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one example at every projection, by name, from one draw of labels.

    Only rows with g_t ≠ 0 are kept; the others add nothing to any sum. ``a[name]`` is (T, q),
    ``g[name]`` (T, p), in the model's dtype but float32 at least.
    """

    number: int
    draw: int
    a: dict[str, Tensor]
    g: dict[str, Tensor]


def example_rows(
    model: nn.Module,
    projections: Sequence[Projection],
    examples: Examples,
    *,
    labels: Labels = "sampled",
    seed: int = 0,
    draws: int = 1,
    rotate: Callable[[str, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    progress: Progress | None = None,
) -> Iterator[Rows]:
    """The rows of every example, batch by batch, all draws of a batch before the next batch.

    Sampled labels are those of `core.labels`, keyed by (seed, draw, ids, position): nothing but the
    example decides them. Gold labels need no second draw. ``rotate(name, a_nq, g_np)`` may turn
    the rows of a whole batch into another basis. One forward pass a batch to draw labels, then one
    forward and backward pass a draw. `progress(done, total)` counts examples times draws.
    Raises HillshadeError for unusable texts, labels or fewer than one draw.
    """
    if labels not in ("sampled", "gold"):
        raise HillshadeError(f"Labels {labels!r} are unknown; choose 'sampled' or 'gold'.")
    if draws < 1 or (labels == "gold" and draws > 1):
        raise HillshadeError(
            f"{draws} draws of {labels} labels are impossible; "
            "choose 1 or more for sampled labels and 1 for gold ones."
        )
    sample = readable_examples(model, examples)
    tap = Tap(model, projections)
    reader = twin(model).eval().requires_grad_(False) if labels == "sampled" else None
    done = 0
    for batch in batches(sample, _BATCH):
        members = [examples[number] for number in batch.sequences]
        inputs: dict[str, Tensor] = {}
        gradients: dict[str, list[Tensor]] = {p.name: [] for p in projections}
        golds = _labels(reader, batch, members, seed, draws)
        tap.run(batch, sample, inputs.__setitem__, _append(gradients), golds=golds)
        for draw in range(draws):
            slopes = {name: many[draw] for name, many in gradients.items()}
            yield from _split(batch, draw, projections, inputs, slopes, rotate)
            done += len(members)
            if progress is not None:
                progress(done, len(examples) * draws)


def example_inputs(
    model: nn.Module,
    projections: Sequence[Projection],
    examples: Examples,
    *,
    progress: Progress | None = None,
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """The number of each example and its inputs a_t at the counted positions, (T_x, q) by name.

    Of an image at its class token, the first of its positions.
    One pass a batch, float32 at least; progress and errors as `example_rows`.
    """
    sample = readable_examples(model, examples)
    tap = Tap(model, projections)
    done = 0
    for batch in batches(sample, _BATCH):
        inputs: dict[str, Tensor] = {}
        tap.run(batch, sample, inputs.__setitem__, lambda name, g: None, labels="gold")
        rows = {key: a.to(torch.promote_types(a.dtype, torch.float32)) for key, a in inputs.items()}
        start = 0
        for number, size in zip(batch.sequences, batch.owner.bincount().tolist(), strict=True):
            counted = [start + t for t in examples[number].counted]
            yield number, {p.name: rows[p.input_key][counted] for p in projections}
            start += size
        done += len(batch.sequences)
        if progress is not None:
            progress(done, len(examples))


def _labels(
    reader: nn.Module | None, batch: Batch, members: Examples, seed: int, draws: int
) -> list[Tensor]:
    """For each draw a label at every counted position of the batch, and none elsewhere."""
    here = torch.zeros(len(batch.gold), dtype=torch.bool)
    start = 0
    for example in members:
        here[[start + t for t in example.counted]] = True
        start += predictions(example.content)
    if reader is None:
        return [torch.where(here, batch.gold, _IGNORED)]
    with torch.no_grad():
        out = reader(**placed(batch.inputs, reader))
    logits = out.logits.flatten(0, -2)
    logits = logits.index_select(0, batch.labelled[here].to(logits.device))
    chosen = []
    for draw in range(draws):
        u = np.concatenate([keyed_uniforms(seed, example.content, draw) for example in members])
        drawn = torch.full_like(batch.gold, _IGNORED)
        drawn[here] = draw_labels(logits, torch.from_numpy(u)[here].to(logits.device)).cpu()
        chosen.append(drawn)
    return chosen


def _append(lists: dict[str, list[Tensor]]) -> Callable[[str, Tensor], None]:
    return lambda name, rows: lists[name].append(rows)


def _split(
    batch: Batch,
    draw: int,
    projections: Sequence[Projection],
    inputs: dict[str, Tensor],
    gradients: dict[str, Tensor],
    rotate: Callable[[str, Tensor, Tensor], tuple[Tensor, Tensor]] | None,
) -> Iterator[Rows]:
    """The rows of a batch, example by example."""
    parts: dict[str, tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = {}
    for projection in projections:
        a, g = inputs[projection.input_key], gradients[projection.name]
        wide = torch.promote_types(g.dtype, torch.float32)
        alive = g.any(1)
        a, g = a[alive].to(wide), g[alive].to(wide)
        if rotate is not None:
            a, g = rotate(projection.name, a, g)
        owner = batch.owner.to(alive.device)[alive]
        sizes = torch.bincount(owner, minlength=len(batch.sequences)).tolist()
        parts[projection.name] = (a.split(sizes), g.split(sizes))
    for row, number in enumerate(batch.sequences):
        yield Rows(
            number,
            draw,
            {name: a[row] for name, (a, _) in parts.items()},
            {name: g[row] for name, (_, g) in parts.items()},
        )
