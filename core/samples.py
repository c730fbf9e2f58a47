"""What a model reads, in batches: token sequences of a language model, or images of a classifier.

A batch is the model's own keyword arguments, with three things said about them: which hidden
positions count in A and G, which rows of the logits carry a label, and which label is the given
one. For a language model the first two are the same: real positions (by attention mask, never by
token id) except each sequence's last, which predicts nothing. For an image classifier one row of
logits carries the image's label, and its hidden positions are a class token and patches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core import structure
from core.batches import pad
from core.errors import HillshadeError, UnsupportedModelError
from core.images import Image, Images, require_alike, stacked
from core.twin import seen_once

Inputs = Mapping[str, Any]
"""Keyword arguments of a model; every tensor among them has the batch as its first dimension."""


@dataclass(frozen=True)
class Batch:
    """Sequences of similar length, padded on the right, or images.

    ``sequences`` are the original numbers of the sequences or images. ``rows`` are the counted
    positions of the flattened hidden states, ``owner`` says for each of them which row of the batch
    it belongs to. ``labelled`` are the rows of the flattened logits that carry a label.
    """

    sequences: tuple[int, ...]
    inputs: Inputs
    positions: int  # B · T hidden positions, padding included
    rows: Tensor  # int64[n] positions b * T + t that count
    owner: Tensor  # int64[n]
    labelled: Tensor  # int64[m]
    gold: Tensor  # int64[m] the next token of each counted position, or the label given


@dataclass(frozen=True, eq=False)
class Patches(Sequence[Image]):
    """Images as one model sees them: `width` hidden positions each, of which `counted` count."""

    images: tuple[Image, ...]
    width: int
    counted: range

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: Any) -> Any:
        return self.images[number]


Sample = Sequence[Sequence[int]] | Patches


def readable(data: Iterable[Sequence[int]] | Images, model: nn.Module) -> Sample:
    """The data as `batches` takes them, or a HillshadeError for what this model cannot read.

    Token sequences: see `as_sequences`. Images are refused where there are none, sizes or labels do
    not fit each other and the model, or the class token is wanted of a model that reads none.
    """
    if not isinstance(data, Images):
        return as_sequences(data, model)
    images = tuple(data.images)
    if not images:
        raise HillshadeError("There is no image to read; give at least one.")
    width, classes = _seen(model, images[0], cls=data.positions == "cls")
    require_alike(images, classes)
    return Patches(images, width, range(1 if data.positions == "cls" else width))


def positions_of(model: nn.Module, image: Image) -> int:
    """Hidden positions the model makes of an image; HillshadeError for one it cannot read."""
    return _seen(model, image, cls=False)[0]


def as_sequences(
    sequences: Iterable[Sequence[int]], model: nn.Module
) -> tuple[tuple[int, ...], ...]:
    """The sequences as tuples, or a HillshadeError for what no model can read.

    Refused: no data at all, a sequence shorter than 2, longer than the context, or with an id
    outside the vocabulary.
    """
    checked = tuple(tuple(int(i) for i in sequence) for sequence in sequences)
    if not checked:
        raise HillshadeError("There is no text to read; give at least one sequence of tokens.")
    context = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    vocabulary = _vocabulary(model)
    for number, ids in enumerate(checked):
        if len(ids) < 2:
            raise HillshadeError(
                f"Sequence {number} has {len(ids)} token(s) and predicts nothing; "
                "leave out sequences shorter than 2."
            )
        if context is not None and len(ids) > context:
            raise HillshadeError(
                f"Sequence {number} has {len(ids)} tokens but the model reads {context}; "
                "cut it into shorter ones."
            )
        if min(ids) < 0 or max(ids) >= vocabulary:
            raise HillshadeError(
                f"Sequence {number} holds a token outside the vocabulary of {vocabulary}; "
                "use the model's own tokenizer."
            )
    return checked


def batches(sample: Sample, size: int) -> Iterator[Batch]:
    """The sample in batches; sequences sorted by length, so little is padding."""
    if size < 1:
        raise HillshadeError(f"A batch of {size} sequences is impossible; choose 1 or more.")
    if isinstance(sample, Patches):
        for start in range(0, len(sample), size):
            yield _images(sample, range(start, min(start + size, len(sample))))
        return
    order = sorted(range(len(sample)), key=lambda number: len(sample[number]))
    for start in range(0, len(order), size):
        yield _texts(sample, order[start : start + size])


@dataclass(frozen=True)
class Asked:
    """Some texts or images that are run together, and which of their predictions count."""

    inputs: Inputs
    positions: int  # B · T hidden positions, padding included
    flat: Tensor  # int64[m] counted rows of the flattened logits
    targets: Tensor  # int64[m] the token that truly follows, or the label given


def asked(sample: Sample, numbers: Sequence[int], counted: Sequence[Sequence[int]]) -> Asked:
    """These texts, padded on the right without a mask, or images; counted[k] is of numbers[k].

    A causal model never looks to the right, so a text's logits are those of the text alone.
    """
    if isinstance(sample, Patches):
        images = [sample.images[number] for number in numbers]
        given = torch.tensor([image.given for image in images])
        return Asked(pixels(images), len(images) * sample.width, torch.arange(len(images)), given)
    ids = pad([sample[number] for number in numbers], torch.device("cpu"))
    flat = torch.tensor([b * ids.shape[1] + t for b, at in enumerate(counted) for t in at])
    inputs = {"input_ids": ids, "use_cache": False}
    return Asked(inputs, ids.numel(), flat, ids.flatten()[flat + 1])


def lengths(sample: Sample) -> list[int]:
    """Hidden positions of each text or image."""
    if isinstance(sample, Patches):
        return [sample.width] * len(sample)
    return [len(ids) for ids in sample]


def placed(inputs: Inputs, model: nn.Module) -> dict[str, Any]:
    """The inputs on the model's device; pixels in its dtype."""
    weight = next(model.parameters())
    return {
        name: value.to(weight.device, weight.dtype if value.is_floating_point() else value.dtype)
        if isinstance(value, Tensor)
        else value
        for name, value in inputs.items()
    }


def pixels(images: Sequence[Image]) -> Inputs:
    """The keyword arguments that show some images to a classifier."""
    return {"pixel_values": stacked(images)}


def _texts(sequences: Sequence[Sequence[int]], numbers: Sequence[int]) -> Batch:
    lengths = torch.tensor([len(sequences[number]) for number in numbers])
    ids = pad([sequences[number] for number in numbers], torch.device("cpu"))
    width = ids.shape[1]
    position = torch.arange(width)
    counted = position < lengths[:, None] - 1
    rows = counted.flatten().nonzero()[:, 0]
    mask = (position < lengths[:, None]).long()  # 1 where real
    return Batch(
        sequences=tuple(numbers),
        inputs={"input_ids": ids, "attention_mask": mask, "use_cache": False},
        positions=ids.numel(),
        rows=rows,
        owner=rows // width,
        labelled=rows,
        gold=ids.flatten()[rows + 1],
    )


def _images(sample: Patches, numbers: Sequence[int]) -> Batch:
    images = [sample.images[number] for number in numbers]
    place = torch.arange(len(images))
    rows = (place[:, None] * sample.width + torch.tensor(sample.counted)).flatten()
    return Batch(
        sequences=tuple(numbers),
        inputs=pixels(images),
        positions=len(images) * sample.width,
        rows=rows,
        owner=rows // sample.width,
        labelled=place,
        gold=torch.tensor([image.given for image in images]),
    )


def _seen(model: nn.Module, image: Image, *, cls: bool) -> tuple[int, int]:
    """Hidden positions the model makes of one image, and its number of classes.

    With `cls` the image is also followed back from the logits to what leaves the last block: a
    class token is position 0, has a weight of its own, and is read by the head.
    """
    path, blocks = structure.stack(model)
    left: list[Tensor] = []

    def begin(block: nn.Module, args: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        left.append(hidden.detach().requires_grad_())
        return (left[0], *output[1:]) if isinstance(output, tuple) else left[0]

    with seen_once(model) as seer, torch.inference_mode(False), torch.enable_grad():
        hook = seer.get_submodule(f"{path}.{len(blocks) - 1}").register_forward_hook(begin)
        try:
            logits = seer(**placed(pixels([image]), seer)).logits
        except (TypeError, ValueError, RuntimeError) as error:
            raise HillshadeError(
                f"{type(model).__name__} cannot read images of {tuple(image.pixels.shape)} "
                f"({error}); use an image classifier and images of its size."
            ) from error
        finally:
            hook.remove()
        if logits.dim() != 2 or len(left) != 1 or left[0].dim() != 3:
            raise UnsupportedModelError(
                f"{type(model).__name__} does not turn an image into one row of positions and one "
                "of classes; use an image classifier built like ViT."
            )
        if cls:
            weights = torch.arange(1, logits.shape[1] + 1).to(logits)
            (slope,) = torch.autograd.grad((logits[0] * weights).sum(), left)
            own = any(name.endswith("cls_token") for name, _ in model.named_parameters())
            if not own or not bool(slope[0, 0].any()):
                raise HillshadeError(
                    f"The classes of {type(model).__name__} are not read off a class token; "
                    "choose the positions 'all'."
                )
    return left[0].shape[1], logits.shape[1]


def _vocabulary(model: nn.Module) -> int:
    embeddings = getattr(model, "get_input_embeddings", lambda: None)()
    weight = getattr(embeddings, "weight", None)
    if not isinstance(weight, Tensor):
        raise UnsupportedModelError(
            f"{type(model).__name__} has no input embeddings; load it as a language model, or give "
            "an image classifier images."
        )
    return weight.shape[0]
