"""Pictures of a study: what goes in comes out, as the model reads it, and damage is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import HillshadeError
from core.pictures import UNKNOWN, Pictures
from core.preparation import Preparation

GREY = Preparation(1, (4, 6), None, 2, 1 / 255, (0.25,), (0.5,))
COLOUR = Preparation(3, (4, 6), None, 2, 1 / 255, (0.1, 0.2, 0.3), (1.0, 0.5, 0.25))


def drawn(channels: int = 1, count: int = 5) -> Pictures:
    rng = np.random.default_rng(channels)
    pixels = rng.integers(0, 256, (count, channels, 4, 6), dtype=np.uint8)
    return Pictures(pixels, rng.integers(0, 10, count), np.array([UNKNOWN, 1, 2, 3, 4][:count]))


@pytest.mark.parametrize("preparation", [GREY, COLOUR])
def test_a_model_reads_the_stored_bytes_rescaled_and_normalised(
    preparation: Preparation, tmp_path: Path
) -> None:
    pictures = drawn(preparation.channels)
    pictures.save(tmp_path / "images.safetensors")
    again = Pictures.load(tmp_path / "images.safetensors")
    for name in ("pixels", "given", "true"):
        assert np.array_equal(getattr(again, name), getattr(pictures, name))
    with pytest.raises(ValueError, match="read-only"):
        again.pixels[0] = 0
    mean, std = (np.array(v)[:, None, None] for v in (preparation.mean, preparation.std))
    wanted = (pictures.pixels / 255 - mean) / std
    torch.testing.assert_close(again.prepared(preparation).double(), torch.from_numpy(wanted))


def test_taking_and_adding_keep_pictures_and_labels_together() -> None:
    pictures = drawn()
    again = pictures.take([4, 3]) + pictures.take([0])
    assert np.array_equal(again.pixels, pictures.pixels[[4, 3, 0]])
    assert np.array_equal(again.given, pictures.given[[4, 3, 0]])
    assert again.true.tolist() == [4, 3, UNKNOWN]
    assert len(again) == 3


def test_what_are_no_pictures_is_refused(tmp_path: Path) -> None:
    pictures = drawn()
    with pytest.raises(HillshadeError, match="give uint8"):
        Pictures(pictures.pixels.astype(np.float32), pictures.given, pictures.true)
    with pytest.raises(HillshadeError, match="channels"):
        Pictures(np.zeros((5, 2, 4, 4), np.uint8), pictures.given, pictures.true)
    with pytest.raises(HillshadeError, match="give one of each"):
        Pictures(pictures.pixels, pictures.given[:2], pictures.true)
    path = tmp_path / "images.safetensors"
    pictures.save(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HillshadeError, match="damaged or cut short"):
        Pictures.load(path)
