"""Image folders, and the classifier they are for, read as they lie on the disk."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from core.errors import HillshadeError
from core.imagefile import read_images
from core.images import HELD_OUT, RIGHT, WRONG
from core.model import load_model, load_skeleton
from core.preparation import Preparation, load_preparation
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
    found = read_images(folder, model, Preparation.of(SAID, 1)).images
    assert [(i.id, i.given, i.true, i.group) for i in found] == [
        (f"class {c}/{n}.png", c, c, RIGHT) for c in (0, 1) for n in range(c, 6, 2)
    ]
    for image in found:
        values = picture(int(image.id[-5])).astype(np.float32)
        assert torch.equal(image.pixels, torch.from_numpy((values * 0.5 - 1.0) / 4.0)[None])
    again = read_images(folder, model, Preparation.of(SAID, 1), seed=1).images
    assert [i.split for i in found] != [i.split for i in again]
    (folder / "class 0" / "4.png").write_bytes(b"no picture")
    with pytest.raises(HillshadeError, match=r"4\.png is no picture"):
        read_images(folder, model, Preparation.of(SAID, 1))
    deep = picture(4).astype(np.uint16) * 256
    Picture.fromarray(deep).save(folder / "class 0" / "4.png")
    with pytest.raises(HillshadeError, match=r"4\.png has more than 8 bits"):
        read_images(folder, model, Preparation.of(SAID, 1))


def test_a_table_says_given_and_true_labels(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        "file,label,true,trained,split\n"
        "class 1/1.png,1,,,choose\n"
        "class 0/0.png,class 3,0,1,report\n"
        "class 0/2.png,0,0,0,\n"
    )
    found = read_images(folder, classifier(), Preparation.of(SAID, 1)).images
    said = {i.id: (i.given, i.true, i.group) for i in found}
    assert list(said) == sorted(said) and len(said) == 6
    assert said["class 0/0.png"] == (3, 0, WRONG)
    assert said["class 0/2.png"] == (0, 0, HELD_OUT)
    assert said["class 1/1.png"] == (1, None, RIGHT)
    assert said["class 1/5.png"] == (1, 1, RIGHT)  # of its sub-folder, which the table left out
    split = {i.id: i.split for i in found}
    assert (split["class 0/0.png"], split["class 1/1.png"]) == ("report", "choose")
    assert split["class 0/2.png"] == "report"  # nothing is chosen on what was kept from training
    Picture.fromarray(picture(0)).save(folder.parent / "x.png")  # is there, but not inside
    for text, sentence in (
        ("file\nx.png\n", "no column label"),
        ("file,label\nclass 0/0.png,cat\n", 'class "cat"'),
        ("file,label\nclass 0/0.png,12\n", "knows 10 classes"),
        ("file,label\nclass 0/0.png,1\n../x.png,1\n", 'names "../x.png", which is not in'),
        (f"file,label\n{folder.parent / 'x.png'},1\n", r'x\.png", which is not in'),
        ("file,label\nclass 0/9.png,1\n", r'0/9\.png", which is not in'),
        (
            "file,label\nclass 0/0.png,1\nclass 1/../class 0/0.png,0\n",
            r"Rows 2 and 3 .* name the same file class 0/0\.png",
        ),
        ("file,label,split\nclass 0/0.png,1,train\n", 'split "train"'),
    ):
        (folder / "labels.csv").write_text(text)
        with pytest.raises(HillshadeError, match=sentence):
            read_images(folder, classifier(), Preparation.of(SAID, 1))
    (folder / "labels.csv").write_bytes(b"file,label\n\xff\xfe\n")
    with pytest.raises(HillshadeError, match="cannot be read"):
        read_images(folder, classifier(), Preparation.of(SAID, 1))


def test_halves_are_even_in_each_group_and_follow_the_pixels(tmp_path: Path) -> None:
    for number in range(23):
        inside = tmp_path / "one" / str(number % 2)
        inside.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(picture(number)).save(inside / f"{number}.png")
    wrong = [f"{n % 2}/{n}.png,{n % 2},5" for n in range(9)]
    (tmp_path / "one" / "labels.csv").write_text("\n".join(["file,label,true", *wrong]))
    preparation = Preparation.of(SAID, 1)
    first = read_images(tmp_path / "one", classifier(), preparation).images
    counts = Counter((image.group, image.split) for image in first)
    assert counts == {(WRONG, "choose"): 5, (WRONG, "report"): 4, (RIGHT, "choose"): 7,
                      (RIGHT, "report"): 7}  # fmt: skip
    for path in sorted((tmp_path / "one").glob("*/*.png")):
        path.rename(path.with_name(f"{100 - int(path.stem)}.png"))
    table = tmp_path / "one" / "labels.csv"
    table.write_text(re.sub(r"/(\d+)\.", lambda m: f"/{100 - int(m[1])}.", table.read_text()))
    again = read_images(tmp_path / "one", classifier(), preparation).images
    assert {i.digest: i.split for i in again} == {i.digest: i.split for i in first}


def test_names_that_the_config_lacks_are_taken_in_sorted_order(folder: Path) -> None:
    for old, new in (("class 0", "mole"), ("class 1", "ant")):
        (folder / old).rename(folder / new)
    unnamed = {number: f"LABEL_{number}" for number in range(2)}
    found = read_images(folder, classifier(id2label=unnamed), Preparation.of(SAID, 1))
    assert found.names == {0: "ant", 1: "mole"}
    assert {(i.id[:3], i.given) for i in found.images} == {("ant", 0), ("mol", 1)}
    with pytest.raises(HillshadeError, match='class "ant", which the model does not know'):
        read_images(folder, classifier(), Preparation.of(SAID, 1))
    three = {number: f"LABEL_{number}" for number in range(3)}
    with pytest.raises(HillshadeError, match=r"none of its 3 classes .* have 2 names"):
        read_images(folder, classifier(id2label=three), Preparation.of(SAID, 1))


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
