"""Built-in data set of scenes that are composed on the fly, without a download."""

import numpy as np
import torch

from pyg_mllc.data.base import Sample, SampleSet
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.data.splits import Splits
from pyg_mllc.data.synthetic.photographs import PHOTOGRAPHS, pyramid
from pyg_mllc.data.synthetic.scenes import draw_scene
from pyg_mllc.errors import InputError
from pyg_mllc.utils.validation import check_count, check_index, check_size

TEXTURES = DatasetSpec(
    name="textures",
    classes=tuple(photograph.label for photograph in PHOTOGRAPHS),
    colors=tuple(photograph.color for photograph in PHOTOGRAPHS),
)

DEALT = 4
"""Regions of a scene whose classes are dealt in turn; up to as many more are drawn at random."""


class Textures(SampleSet):
    """Scenes of irregular regions, each a patch of one of ten photographs, with exact masks.

    A scene depends only on the seed, the split and its number. Training and validation scenes show
    different parts of each photograph.

    Args:
        split: ``train`` or ``val``.
        count: Number of scenes.
        size: Height and width (H, W) of the scenes.
        seed: Seed of all scenes.
        first: Number of the first scene.
        labeled: Whether samples have labels.

    Raises:
        InputError: If the split is unknown or a number is out of range.

    Example:
        >>> sample = Textures("train", count=1, size=(32, 48))[0]
        >>> sample["name"], tuple(sample["image"].shape), tuple(sample["label"].shape)
        ('textures-train-00000', (3, 32, 48), (32, 48))
    """

    def __init__(
        self,
        split: str,
        count: int,
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        first: int = 0,
        labeled: bool = True,
    ) -> None:
        if split not in ("train", "val"):
            raise InputError(f"split={split!r} is unknown: textures have 'train' and 'val'.")
        check_count("count", count, 0)
        check_count("data.seed", seed, 0)
        check_count("first", first, 0)
        self.spec = TEXTURES
        self.split = split
        self.count = count
        self.size = check_size("data.size", size)
        self.seed = seed
        self.first = first
        self.labeled = labeled

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        number = self.first + check_index(index, len(self))
        stream = [self.seed, int(self.split == "val")]
        rng = np.random.default_rng([*stream, 0, number])
        classes = scene_classes(rng, stream, number)
        photographs = [pyramid(PHOTOGRAPHS[label], self.split) for label in classes]
        image, label = draw_scene(rng, classes, photographs, self.size)
        sample: Sample = {
            "image": torch.from_numpy(image)
            .permute(2, 0, 1)
            .contiguous(),  # (H, W, 3) -> (3, H, W)
            "name": f"textures-{self.split}-{number:05d}",
        }
        if self.labeled:
            sample["label"] = torch.from_numpy(label)
        else:
            sample["valid"] = torch.ones(self.size, dtype=torch.bool)
        return sample


def scene_classes(rng: np.random.Generator, stream: list[int], number: int) -> np.ndarray:
    """Draw the classes of the 4 to 8 regions of a scene.

    The first four come in turn from shuffled decks that hold every class once. So any 5 scenes in
    a row hold every class at least once.

    Args:
        rng: Source of randomness of this scene.
        stream: Seeds that the scenes of a stream share.
        number: Number of the scene in its stream.

    Returns:
        Class of each region, int64 (R,).
    """
    total = len(TEXTURES.classes)
    dealt = []
    for card in range(number * DEALT, (number + 1) * DEALT):
        deck = np.random.default_rng([*stream, 1, card // total]).permutation(total)
        dealt.append(deck[card % total])
    others = np.setdiff1d(np.arange(total), dealt)
    extra = rng.choice(others, size=rng.integers(0, DEALT, endpoint=True), replace=False)
    return rng.permutation(np.concatenate([dealt, extra]))


def textures(
    labeled: int = 8,
    unlabeled: int = 120,
    val: int = 40,
    size: tuple[int, int] = (128, 128),
    seed: int = 0,
) -> Splits:
    """Load the splits of the built-in textures: 10 classes, no download.

    Args:
        labeled: Number of labeled scenes; 8 hold every class.
        unlabeled: Number of other training scenes, without labels.
        val: Number of validation scenes.
        size: Height and width (H, W) of the scenes.
        seed: Seed of all scenes.

    Returns:
        Labeled, unlabeled and validation scenes.

    Raises:
        InputError: If a number is out of range.
    """
    check_count("data.labeled", labeled, 1)
    check_count("data.unlabeled", unlabeled, 0)
    check_count("data.val", val, 1)
    return Splits(
        spec=TEXTURES,
        labeled=Textures("train", labeled, size, seed),
        unlabeled=Textures("train", unlabeled, size, seed, first=labeled, labeled=False),
        val=Textures("val", val, size, seed),
    )
