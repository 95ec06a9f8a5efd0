import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from pyg_mllc.data import TEXTURES, Textures, textures
from pyg_mllc.errors import InputError


@pytest.mark.parametrize("size", [(64, 64), (32, 80)])
def test_samples(size):
    labeled = Textures("train", 3, size)[2]
    assert labeled["name"] == "textures-train-00002"
    assert labeled["image"].dtype == torch.uint8 and labeled["image"].shape == (3, *size)
    assert labeled["label"].dtype == torch.int64 and labeled["label"].shape == size
    assert labeled["label"].min() >= 0 and labeled["label"].max() < TEXTURES.num_classes
    unlabeled = Textures("train", 3, size, labeled=False)[2]
    assert "label" not in unlabeled and unlabeled["valid"].all()
    assert torch.equal(unlabeled["image"], labeled["image"])


def test_a_scene_depends_on_its_number_alone():
    forward = [sample["image"] for sample in Textures("train", 5, (32, 32), seed=3)]
    longer = Textures("train", 50, (32, 32), seed=3)
    backward = [longer[index]["image"] for index in reversed(range(5))][::-1]
    later = Textures("train", 2, (32, 32), seed=3, first=3)
    assert all(map(torch.equal, forward, backward))
    assert torch.equal(later[0]["image"], forward[3]) and torch.equal(
        later[-1]["image"], forward[4]
    )


def test_seeds_and_splits_differ():
    images = [
        Textures(split, 1, (32, 32), seed)[0]["image"]
        for split in ("train", "val")
        for seed in (0, 1)
    ]
    assert len({image.numpy().tobytes() for image in images}) == 4


def test_eight_scenes_hold_every_class_in_several_regions():
    for seed in range(12):
        labels = [sample["label"] for sample in textures(size=(48, 64), seed=seed).labeled]
        scenes = sum(np.isin(np.arange(10), label.unique()).astype(int) for label in labels)
        assert scenes.min() >= 2


def test_classes_are_roughly_balanced():
    labels = torch.stack([sample["label"] for sample in Textures("train", 100, (48, 48))])
    shares = labels.flatten().bincount(minlength=10) / labels.numel()
    assert 0.07 < shares.min() and shares.max() < 0.14


def test_unlabeled_scenes_are_not_the_labeled_ones():
    splits = textures(labeled=4, unlabeled=6, val=3, size=(32, 32))
    assert (len(splits.labeled), len(splits.unlabeled), len(splits.val)) == (4, 6, 3)
    names = [sample["name"] for part in (splits.labeled, splits.unlabeled) for sample in part]
    assert names == [f"textures-train-{number:05d}" for number in range(10)]
    assert all(sample["name"].startswith("textures-val-") for sample in splits.val)
    assert default_collate(list(splits.val))["label"].shape == (3, 32, 32)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labeled": 0}, r"data\.labeled=0"),
        ({"unlabeled": -1}, r"data\.unlabeled=-1"),
        ({"val": 0}, r"data\.val=0"),
        ({"seed": -1}, r"data\.seed=-1"),
        ({"size": (0, 5)}, r"data\.size="),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        textures(**options)


def test_unknown_split():
    with pytest.raises(InputError, match=r"'test'.*'train' and 'val'"):
        Textures("test", 1)


def test_importing_loads_no_photograph():
    code = "import sys, pyg_mllc.data; print('skimage' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
