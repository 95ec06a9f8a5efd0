"""Inputs of the stability measurements: synthetic scenes, real images, trained networks."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.job import data_root
from experiments.label_noise.noise import KINDS
from graphs import join_features
from pyg_mllc.data import SampleSet, Splits, load_dataset, textures, to_float
from pyg_mllc.methods import MLLC
from pyg_mllc.nn import LabelCorrector, Segmenter, label_logits
from pyg_mllc.training import TrainerConfig, train
from pyg_mllc.typing import IGNORE

ROUNDS, STEPS = 3, 60
SIZE, SIZE_OF_NETWORKS = (36, 48), (144, 192)  # of images
KINDS_OF_SCENES = (  # classes, feature size, height, width, noise of the features
    (2, 16, 20, 28, 1.0), (6, 32, 24, 32, 0.5), (6, 32, 24, 32, 2.0), (12, 64, 20, 28, 1.0),
    (6, 32, 24, 32, 0.0),
)  # fmt: skip


class Group(NamedTuple):
    """Images of one kind, corrected with the same anchors and the same weights."""

    data: str
    logits: Tensor  # (B, C, h, w)
    features: Tensor  # (B, D, h, w)
    truth: Tensor  # (B, h, w)
    anchors: tuple[Tensor, Tensor]  # features (M, D) and labels (M,)
    weights: dict[str, Tensor]  # of a trained corrector; empty for one without weights


def groups(images: int) -> Iterator[Group]:
    """Yield all groups of images to correct.

    Args:
        images: scenes of each of five kinds; half as many real images of each of two data sets, and
            four of each of three trained networks.
    """
    for kind in KINDS_OF_SCENES:
        yield scenes(*kind, images=images)
    for name in ("camvid", "voc"):
        yield wrong_masks(name, images=images // 2)
    for name in ("textures", "camvid", "voc"):
        yield trained(name, images=4)


def scenes(classes: int, size: int, height: int, width: int, noise: float, images: int) -> Group:
    """Draw scenes of one-class regions, with noisy features and 10 to 40% wrong labels."""
    g = torch.Generator().manual_seed(1000 * classes + size + int(10 * noise))
    means = torch.randn(classes, size, generator=g)
    margin = math.log(0.8 * (classes - 1) / 0.2)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        at = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
        centers = torch.rand(count, 10, 2, generator=g) * torch.tensor([height, width])
        nearest = torch.cdist(at.flatten(1).T.expand(count, -1, 2).float(), centers).argmin(2)
        truth = torch.randint(classes, (count, 10), generator=g).gather(1, nearest)
        truth = truth.view(count, height, width)
        x = means[truth] + noise * torch.randn(count, height, width, size, generator=g)
        return join_features([x.permute(0, 3, 1, 2)]), truth

    features, truth = draw(images)
    share = torch.linspace(0.1, 0.4, images).view(-1, 1, 1)
    wrong = torch.rand(truth.shape, generator=g) < share
    label = torch.where(wrong, torch.randint(classes, truth.shape, generator=g), truth)
    logits = margin * F.one_hot(label, classes) + 0.3 * torch.randn(
        *label.shape, classes, generator=g
    )
    x, y = draw(4)
    anchors = x.permute(0, 2, 3, 1).flatten(0, 2), y.flatten()
    return Group("scenes", logits.permute(0, 3, 1, 2), features, truth, anchors, {})


def _splits(name: str, labeled: int, images: int, size: tuple[int, int]) -> Splits:
    if name == "textures":
        return textures(labeled=labeled, unlabeled=12, val=images, size=size)
    return load_dataset(name, data_root(name), labeled=labeled, val=images, size=size)


def _stack(samples: SampleSet) -> tuple[Tensor, Tensor]:
    image, label = (torch.stack([sample[key] for sample in samples]) for key in ("image", "label"))
    return to_float(image), label


@torch.no_grad()
def _look(image: Tensor) -> Tensor:
    """Return stages 1 to 3 of a frozen encoder, concatenated, at the size of the image."""
    frozen = Segmenter(2, weights="package").eval()
    first, *others = frozen.encode(image)[1:4]
    return join_features([F.interpolate(first, SIZE, mode="bilinear"), *others])


def _known(look: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    x, y = look[..., ::2, ::2].permute(0, 2, 3, 1).flatten(0, 2), label[:, ::2, ::2].flatten()
    return x[y != IGNORE], y[y != IGNORE]


def wrong_masks(name: str, images: int) -> Group:
    """Build wrong masks of real images: single pixels, or regions."""
    splits = _splits(name, 8, images, SIZE)
    (image, truth), classes = _stack(splits.val), splits.spec.num_classes
    labels = []
    for i, (picture, mask) in enumerate(zip(image, truth, strict=True)):
        kind = KINDS[("flips", "confusions")[i % 2]]
        rng = np.random.default_rng(i)
        pixels = (255 * picture).byte().permute(1, 2, 0).numpy()
        labels.append(torch.from_numpy(kind(mask.numpy(), pixels, 0.2, rng)))
    logits = label_logits(torch.stack(labels), classes).permute(0, 3, 1, 2)
    known, label = _stack(splits.labeled)
    anchors = _known(_look(known), label)
    return Group(f"{name}, wrong masks", logits, _look(image), truth, anchors, {})


def trained(name: str, images: int) -> Group:
    """Train a network with its corrector; return its predictions and the corrector."""
    torch.manual_seed(0)
    splits = _splits(name, 8, images, SIZE_OF_NETWORKS)
    classes = splits.spec.num_classes
    segmenter = Segmenter(classes, weights="package", feature_dim=64, feature_stride=8)
    corrector = LabelCorrector(classes, 64, rounds=ROUNDS)
    method = MLLC(segmenter, corrector, total_steps=STEPS, warmup=0.2)
    config = TrainerConfig(
        max_steps=STEPS,
        val_check_interval=STEPS,
        accelerator="cpu",
        batch_size=4,
        unlabeled_batch_size=4,
    )
    train(method, splits, config, seed=0, out=Path("outputs/stability") / name, name=name)
    method.eval()
    (image, truth), (known, label) = _stack(splits.val), _stack(splits.labeled)
    with torch.no_grad():
        logits, features = segmenter(image)
        size = features.shape[-2:]
        logits = F.interpolate(logits, size, mode="area")
        _, of_known = segmenter(known)
    label, truth = (
        F.interpolate(y[:, None].float(), size, mode="nearest-exact")[:, 0].long()
        for y in (label, truth)
    )
    x, y = of_known.permute(0, 2, 3, 1).flatten(0, 2), label.flatten()
    anchors = x[y != IGNORE], y[y != IGNORE]
    weights = {name: value.detach() for name, value in corrector.state_dict().items()}
    return Group(f"{name}, trained network", logits, features, truth, anchors, weights)
