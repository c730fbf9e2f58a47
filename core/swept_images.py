"""A finished sweep over images as the tables of a study (columns: core.tables; `core.swept`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from core.image_exam import ImageAnswers
from core.images import WRONG
from core.sweep import Swept
from core.swept import Row, edit_row, score_row, scores_of
from core.tables import COLUMNS

REPRODUCED, RECOVERED, ACCURACY = "reproduced", "recovered", "accuracy"
_DIGITS = 2  # of a stored distance


def image_points(recipe: str, swept: Swept[ImageAnswers]) -> pd.DataFrame:
    """What the edit kept, a row a seed and tick; images have no perplexity, so NaN stands there."""
    rows = [edit_row(recipe, swept, point) for point in swept.points]
    frame = pd.DataFrame(rows, columns=COLUMNS["points"].names)
    empty = [name for name in frame.columns if name not in rows[0]]
    frame[empty] = np.nan
    return frame


def image_scores(recipe: str, swept: Swept[ImageAnswers]) -> pd.DataFrame:
    """Shares with Wilson's intervals; a row a seed, tick, half and measure.

    Of "wrong labels" those reproduced, and the true ones recovered; of "right labels" and
    "held out" the accuracy.
    """
    return scores_of(recipe, swept, _scores)


def image_outputs(
    recipe: str, swept: Swept[ImageAnswers], labels: Mapping[int, str]
) -> pd.DataFrame:
    """The class said of every image, of the first seed; a row a tick and image.

    strict: the class said is the label given. distance: 1 − probability of the label given, the
    total variation distance from certainty of it.
    """
    frames = []
    for point in swept.points:
        if point.seed != swept.points[0].seed:
            continue
        said = point.answers.said
        given = np.array([image.given for image in said.images])
        frames.append(
            pd.DataFrame(
                {
                    "recipe": recipe,
                    "tick": swept.ticks.index(point.setting),
                    "item": [image.id for image in said.images],
                    "output": [labels[number] for number in said.predicted.tolist()],
                    "strict": said.predicted == given,
                    "distance": np.round(1.0 - said.p_given, _DIGITS),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _scores(answers: ImageAnswers) -> Iterator[Row]:
    there = dict.fromkeys((image.group, image.split) for image in answers.said.images)
    for group, split in there:
        said = answers.said.of(group, split)
        if group == WRONG:
            yield score_row(split, group, None, REPRODUCED, said.reproduced)
            yield score_row(split, group, None, RECOVERED, said.recovered)
        else:
            yield score_row(split, group, None, ACCURACY, said.accuracy)
