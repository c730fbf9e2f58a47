"""Steps in the batch give what weight copies give, for every place a step can touch."""

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedModel

from core.direction import Direction, orthogonalised, rank_one
from core.errors import HillshadeError
from core.greedy import teacher_forced
from core.items import Item
from core.projection import Projection, find_projections, select, weight_digest
from core.replay import Replay, Step
from tests import tiny

CASES: dict[str, list[tuple[int, tuple[str, ...]]]] = {
    "gate": [(1, ("gate",))],
    "up": [(0, ("up",))],
    "down": [(1, ("down",))],
    "gate, down": [(0, ("gate", "down"))],
    "two layers": [(0, ("up", "down")), (1, ("gate", "up"))],
}


def texts() -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [rng.integers(3, tiny.VOCABULARY, n).tolist() for n in (9, 12, 5, 12)]


def directions(projections: Sequence[Projection]) -> tuple[Direction, Direction]:
    """One dense direction over all projections, one of rank one in the last."""
    rng = torch.Generator().manual_seed(1)
    draw = {p.name: torch.randn(p.shape, generator=rng, dtype=torch.float64) for p in projections}
    last = projections[-1]
    u, v = (torch.randn(size, generator=rng, dtype=torch.float64) for size in last.shape)
    return Direction(draw).unit(), rank_one(last.name, u, v).unit()


def copied(
    model: PreTrainedModel, projections: Sequence[Projection], step: Step
) -> PreTrainedModel:
    """The same step, by a copy of all weights."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for direction, size in step:
            for projection in projections:
                if projection.name in direction.parts:
                    projection.weight(other).add_(direction.dense(projection.name), alpha=size)
    return other


def read_one_by_one(
    model: PreTrainedModel, sequences: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Loss of every token, and whether it is the argmax; no batch, no padding."""
    losses, right = [], []
    for sequence in sequences:
        ids = torch.tensor(sequence)
        with torch.no_grad():
            logits = model(ids[None]).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none"))
        right.append(logits.argmax(-1) == ids[1:])
    return torch.cat(losses).numpy(), torch.cat(right).numpy()


def capped() -> PreTrainedModel:
    """A model whose logits are not the output of its head."""
    config = Gemma2Config(
        **tiny.SPECIAL,
        vocab_size=tiny.VOCABULARY,
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=6,
        final_logit_softcapping=0.5,
    )
    torch.manual_seed(0)
    return Gemma2ForCausalLM(config).double()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("family", [*tiny.FAMILIES, "capped"])
def test_steps_in_the_batch_equal_weight_copies(family: str, case: str) -> None:
    model = (capped() if family == "capped" else tiny.tiny(family)).eval()
    there = find_projections(model)
    kinds = [p.kind for p in there]
    chosen = [
        p
        for layer, names in CASES[case]
        for p in select(there, [layer], [n for n in names if n in kinds] or ["up"])
    ]
    first, second = directions(chosen)
    steps: list[Step] = [(), [(first, 0.7)], [(second, -1.5)], [(first, -0.4), (second, 2.0)]]
    sequences = texts()
    before = weight_digest(model)
    replay = Replay(model, chosen, sequences)
    readout = replay.read(steps)
    assert weight_digest(model) == before
    # what is recorded serves every call: nothing may have been written into it
    assert np.array_equal(replay.read(steps[::-1]).loss[::-1], readout.loss)
    for k, step in enumerate(steps):
        loss, right = read_one_by_one(copied(model, chosen, step), sequences)
        assert readout.loss[k] == pytest.approx(loss, abs=1e-12)
        assert readout.right[k].tolist() == right.tolist()
    for moved in readout.loss[1:]:
        assert np.abs(moved - readout.loss[0]).max() > 1e-3


def test_counted_positions_are_those_of_strict_recall() -> None:
    model = tiny.tiny("olmo2").eval()
    chosen = select(find_projections(model), [1], ["up"])
    sequences = texts()
    items = [
        Item(str(n), "memory", "passage", "report", tuple(s[:3]), tuple(s[3:]), "", "", 1, 1)
        for n, s in enumerate(sequences)
    ]
    counted = [range(2, len(s) - 1) for s in sequences]
    readout = Replay(model, chosen, sequences, counted=counted).read([()])
    expected = teacher_forced(model, items)
    assert readout.right[0].tolist() == np.concatenate(expected).tolist()
    assert readout.strict[0].tolist() == [bool(row.all()) for row in expected]


def test_a_cancelled_run_leaves_a_replay_that_still_answers_rightly() -> None:
    model = tiny.tiny("olmo2").eval()
    chosen = select(find_projections(model), [0], ["gate"])
    first, _ = directions(chosen)
    replay = Replay(model, chosen, texts())
    base = replay.read([()]).loss

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay.read([[(first, 1.0)]] * 3, progress=stop)
    assert np.array_equal(replay.read([()]).loss, base)


def test_bad_input_is_refused_with_a_sentence() -> None:
    model = tiny.tiny("olmo2").eval()
    there = find_projections(model)
    sequences = texts()
    with pytest.raises(HillshadeError, match="cannot count the positions"):
        Replay(model, there[:1], sequences, counted=[[99]] * 4)
    replay = Replay(model, there[:1], sequences)
    other, _ = directions(there[3:4])
    with pytest.raises(HillshadeError, match="was not prepared for"):
        replay.read([[(other, 1.0)]])
    with pytest.raises(HillshadeError, match="do not fill groups"):
        replay.map([()] * 3, lambda logits, targets: logits[0].T, group=2)


def test_directions_add_up_as_their_matrices_do() -> None:
    dense, low = directions(find_projections(tiny.tiny("olmo2").eval())[:2])
    name = next(iter(low.parts))
    assert dense.norm == pytest.approx(1.0)
    assert low.norm == pytest.approx(1.0)
    assert dense.inner(low) == pytest.approx(float((dense.dense(name) * low.dense(name)).sum()))
    assert low.scaled(3.0).norm == pytest.approx(3.0)
    rest = orthogonalised(low, dense)
    assert rest.inner(low) == pytest.approx(0.0, abs=1e-12)
    assert rest.norm == pytest.approx(1.0)
    with pytest.raises(HillshadeError, match="parallel"):
        orthogonalised(low, low.scaled(-2.0))
