import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyg_mllc.data import CAMVID, VOC, load_dataset
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE

real_data = pytest.mark.skipif(
    "MLLC_DATA" not in os.environ, reason="MLLC_DATA names no folder with camvid/ and voc2012/"
)


def save(folder, stem, suffix, value, shape):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, dtype=np.uint8)).save(folder / f"{stem}{suffix}")


@pytest.fixture
def streets(tmp_path):
    for split, count in (("train", 6), ("val", 5)):
        for index in range(count):
            save(tmp_path / split, f"{split}{index}", ".jpg", 99, (6, 8, 3))
            save(tmp_path / f"{split}annot", f"{split}{index}", ".png", index, (6, 8))
    return tmp_path


@pytest.fixture
def things(tmp_path):
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for index in range(6):
        save(tmp_path / "JPEGImages", f"2007_{index}", ".jpg", 99, (6, 8, 3))
        save(tmp_path / "SegmentationClass", f"2007_{index}", ".png", index, (6, 8))
    (lists / "train.txt").write_text("2007_0\n2007_1\n2007_2\n2007_3")
    (lists / "val.txt").write_text("2007_5\n2007_4\n\n")
    return tmp_path


def camvid(root, labeled=2, size=(6, 8), **options):
    return load_dataset("camvid", root, labeled, size, **options)


def voc(root, labeled=2, size=(6, 8), **options):
    return load_dataset("voc", root, labeled, size, **options)


def names(dataset):
    return [sample["name"] for sample in dataset]


def test_camvid_splits(streets):
    splits = camvid(streets, labeled=2, size=[6, 8])
    assert splits.spec is CAMVID
    assert sorted(names(splits.labeled) + names(splits.unlabeled)) == [
        f"train{i}" for i in range(6)
    ]
    assert names(splits.val) == [f"val{index}" for index in range(5)]
    for sample in (*splits.labeled, *splits.val):
        assert torch.all(sample["label"] == int(sample["name"][-1]))


def test_short_runs_take_fewer_images(streets):
    splits = camvid(streets, labeled=2, unlabeled=1, val=3)
    assert len(splits.unlabeled) == 1 and names(splits.val) == ["val0", "val2", "val4"]
    assert len(camvid(streets, labeled=2, unlabeled=0).unlabeled) == 0


def test_only_labeled_images_need_masks(streets):
    for index in (0, 2, 3, 5):
        (streets / "trainannot" / f"train{index}.png").unlink()
    splits = camvid(streets, labeled=2)
    assert names(splits.labeled) == ["train1", "train4"]
    assert len(list(splits.unlabeled)) == 4


def test_voc_splits_follow_the_lists(things):
    splits = voc(str(things), labeled=1, size=(12, 12))
    assert splits.spec is VOC and len(splits.labeled) == 1 and len(splits.unlabeled) == 3
    assert names(splits.val) == ["2007_5", "2007_4"]
    label = splits.val[0]["label"]
    assert torch.all(label[:9] == 5) and torch.all(label[9:] == IGNORE)


def test_some_classes_are_learned_and_the_others_are_void(things):
    splits = voc(things, labeled=4, size=(6, 8), classes=["bicycle", "background"], overlap=True)
    assert splits.spec.num_classes == 2
    seen = {
        splits.labeled[i]["name"]: splits.labeled[i]["label"].unique().tolist() for i in range(4)
    }
    assert seen == {"2007_0": [1], "2007_1": [IGNORE], "2007_2": [0], "2007_3": [IGNORE]}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labeled": 7}, r"data\.labeled=7 is more than the 6"),
        ({"labeled": 0}, r"data\.labeled=0"),
        ({"labeled": 1, "size": (0, 8)}, r"data\.size="),
        ({"labeled": 1, "seed": -1}, r"data\.seed=-1"),
        ({"labeled": 1, "val": 0}, r"data\.val=0"),
        ({"labeled": 1, "unlabeled": -1}, r"data\.unlabeled=-1"),
    ],
)
def test_options_that_cannot_be_met(streets, options, message):
    with pytest.raises(InputError, match=message):
        camvid(streets, **options)


def test_root_must_be_there(tmp_path):
    with pytest.raises(InputError, match=r"data\.root=None is not given.*train/ and trainannot/"):
        camvid(None)
    with pytest.raises(InputError, match=r"nowhere does not exist.*JPEGImages/"):
        voc(tmp_path / "nowhere")


@pytest.mark.parametrize("folder", ["train", "trainannot", "val", "valannot"])
def test_missing_folders_are_named(streets, folder):
    (streets / folder).rename(streets / "elsewhere")
    with pytest.raises(InputError, match=rf"{folder} does not exist.*data\.root="):
        camvid(streets, labeled=1)


def test_a_folder_without_images_is_named(streets):
    for path in (streets / "train").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="train has no image"):
        camvid(streets, labeled=1)


def test_names_that_differ_by_suffix_are_refused(streets):
    save(streets / "train", "train0", ".png", 99, (6, 8, 3))
    with pytest.raises(InputError, match=r"train0\.jpg and .*train0\.png"):
        camvid(streets, labeled=1)


def test_validation_needs_every_mask(streets):
    (streets / "valannot" / "val3.png").unlink()
    with pytest.raises(InputError, match=r"val3\.jpg has no mask .*valannot"):
        camvid(streets, labeled=1)


def test_missing_lists_and_listed_images_are_named(things):
    (things / "JPEGImages" / "2007_4.jpg").unlink()
    with pytest.raises(InputError, match=r"val\.txt names '2007_4'.*1 of 2"):
        voc(things, labeled=1)
    (things / "ImageSets" / "Segmentation" / "train.txt").unlink()
    with pytest.raises(InputError, match=r"list .*train\.txt does not exist"):
        voc(things, labeled=1)


@real_data
def test_real_camvid():
    splits = camvid(Path(os.environ["MLLC_DATA"]) / "camvid", labeled=23, size=(180, 240))
    assert (len(splits.labeled), len(splits.unlabeled), len(splits.val)) == (23, 344, 101)
    sample = splits.val[0]
    assert sample["image"].shape == (3, 180, 240) and sample["label"].shape == (180, 240)
    label = torch.stack([splits.labeled[index]["label"] for index in range(8)])
    road, cyclist = (label == 3).float().mean(), (label == 10).float().mean()
    assert 0.1 < road < 0.5 and cyclist < 0.05
    sky = splits.val[0]["image"][:, sample["label"] == 0].float().mean()
    assert sky > splits.val[0]["image"][:, sample["label"] == 3].float().mean() + 50


@real_data
def test_real_voc():
    splits = voc(Path(os.environ["MLLC_DATA"]) / "voc2012", labeled=30, size=(96, 96))
    assert (len(splits.labeled), len(splits.unlabeled), len(splits.val)) == (30, 407, 223)
    for index in range(5):
        label = splits.val[index]["label"]
        assert label.shape == (96, 96) and label[0, 0] in (*range(21), IGNORE)
        assert len(label.unique()) > 2
    assert 0.3 < splits.unlabeled[0]["valid"].float().mean() <= 1
