"""Image folders, and the classifier they are for, read as they lie on the disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from core.errors import HillshadeError
from core.imagefile import Preparation, load_preparation, read_images
from core.images import HELD_OUT, RIGHT, WRONG
from core.model import load_model, load_skeleton
from core.projection import weight_digest
from tests.tiny import tiny
from tests.vision import classifier

SAID = {
    "do_resize": False,
    "rescale_factor": 0.5,
    "do_normalize": True,
    "image_mean": [1.0],
    "image_std": [4.0],
}


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (8, 8)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        inside = tmp_path / "shown" / f"class {number % 2}"
        inside.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(picture(number)).save(inside / f"{number}.png")
    return tmp_path / "shown"


def test_a_classifier_is_told_by_its_config(tmp_path: Path) -> None:
    model = classifier(dtype=torch.float32)
    model.save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(SAID))
    read = load_model(tmp_path / "vit")
    assert type(read) is type(model)
    assert weight_digest(read) == weight_digest(model)
    assert not read.training
    assert load_skeleton(tmp_path / "vit").config.num_labels == 10
    assert load_preparation(tmp_path / "vit", read) == Preparation.of(SAID, 1)
    with pytest.raises(HillshadeError, match="no readable preprocessor_config"):
        load_preparation(tmp_path, read)
    language = tiny("olmo2", torch.float32)
    language.save_pretrained(tmp_path / "text")
    assert type(load_model(tmp_path / "text")) is type(language)


def test_sub_folders_are_classes_and_pixels_are_prepared(folder: Path) -> None:
    model = classifier()
    found = read_images(folder, model, Preparation.of(SAID, 1))
    assert [(i.id, i.given, i.true, i.group) for i in found] == [
        (f"class {c}/{n}.png", c, c, RIGHT) for c in (0, 1) for n in range(c, 6, 2)
    ]
    for image in found:
        values = picture(int(image.id[-5])).astype(np.float32)
        assert torch.equal(image.pixels, torch.from_numpy((values * 0.5 - 1.0) / 4.0)[None])
    again = read_images(folder, model, Preparation.of(SAID, 1), seed=1)
    assert [i.split for i in found] != [i.split for i in again]
    (folder / "class 0" / "4.png").write_bytes(b"no picture")
    with pytest.raises(HillshadeError, match=r"4\.png is no picture"):
        read_images(folder, model, Preparation.of(SAID, 1))


def test_a_table_says_given_and_true_labels(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        "file,label,true,trained,split\n"
        "class 0/0.png,class 3,0,1,report\n"
        "class 1/1.png,1,,,choose\n"
        "class 0/2.png,0,0,0,\n"
    )
    found = read_images(folder, classifier(), Preparation.of(SAID, 1))
    assert [(i.given, i.true, i.group) for i in found] == [
        (3, 0, WRONG),
        (1, None, RIGHT),
        (0, 0, HELD_OUT),
    ]
    assert [i.split for i in found[:2]] == ["report", "choose"]
    for text, sentence in (
        ("file\nx.png\n", "no column label"),
        ("file,label\nclass 0/0.png,cat\n", 'class "cat"'),
        ("file,label\nclass 0/0.png,12\n", "knows 10 classes"),
        ("file,label\nclass 0/0.png,1\n../x.png,1\n", "no picture"),
        ("file,label\n", "holds no image"),
    ):
        (folder / "labels.csv").write_text(text)
        with pytest.raises(HillshadeError, match=sentence):
            read_images(folder, classifier(), Preparation.of(SAID, 1))


@pytest.mark.parametrize(
    "said",
    [
        {"size": {"height": 4, "width": 6}},
        {"size": {"shortest_edge": 5}, "do_center_crop": True, "crop_size": 4, "resample": 3},
    ],
)
def test_resizing_and_cropping_are_those_of_transformers(said: dict[str, Any]) -> None:
    """Its own NumPy functions, which need no torchvision, give the same pixels."""
    from transformers.image_transforms import center_crop, resize

    said = said | {"do_normalize": False}
    rgb = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    ours = Preparation.of(said, 3).pixels(Picture.fromarray(rgb))
    size = said["size"]
    wanted = (size["height"], size["width"]) if "height" in size else (5, int(12 * 5 / 9))
    theirs = resize(rgb, wanted, resample=said.get("resample", 2))
    if said.get("do_center_crop"):
        theirs = center_crop(theirs, (4, 4))
    assert torch.allclose(ours, torch.from_numpy(theirs / 255).float().permute(2, 0, 1))


def test_what_is_not_done_is_refused() -> None:
    for said, sentence in (
        ({"do_pad": True}, "do_pad"),
        ({"image_mean": [0.5, 0.5], "image_std": [0.5, 0.5]}, "2 means for 3 channels"),
        ({"size": {"longest_edge": 4}}, "shortest_edge"),
    ):
        with pytest.raises(HillshadeError, match=sentence):
            Preparation.of(said, 3)
