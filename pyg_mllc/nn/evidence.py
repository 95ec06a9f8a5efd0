"""Evidence of labeled images: class densities over an encoder's features."""

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs import ClassGaussians, maps_to_nodes, nodes_to_maps
from pyg_mllc.errors import InputError
from pyg_mllc.nn.evidence_calibration import Calibration, LabeledPixels, calibrate, draw_pixels
from pyg_mllc.nn.frozen_features import FrozenFeatures
from pyg_mllc.nn.segmenter import Segmenter
from pyg_mllc.typing import IGNORE

DISCOUNT = 0.5  # of the temperature, for what a network and a frozen encoder both get wrong
CACHE = 2**31  # bytes of evidence that are kept for images that come again
IMAGES = 32  # that are left out one by one, at most


class LabeledImages(Protocol):
    """Images `(3, H, W)` in [0, 1] with labels `(H, W)`, IGNORE where void; read one by one."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...


FeatureMaps = Callable[[Tensor], Tensor]
"""Computes features `(B, D, h, w)` of images `(B, 3, H, W)` in [0, 1]."""


def class_shares(label: Tensor, num_classes: int, size: tuple[int, int] | torch.Size) -> Tensor:
    """Compute the share of each class in the pixels of each cell of a map.

    Args:
        label: `(B, H, W)`, IGNORE where void.
        num_classes: C.
        size: height and width (h, w) of the map.

    Returns:
        `(B, C, h, w)`; cells sum to the share of their pixels that are not void.
    """
    one_hot = F.one_hot(label.where(label != IGNORE, num_classes), num_classes + 1)
    maps = one_hot[..., :num_classes].permute(0, 3, 1, 2).float()
    return F.adaptive_avg_pool2d(maps, (size[0], size[1]))


@torch.no_grad()
def fit_gaussians(
    features: FeatureMaps, labeled: LabeledImages, num_classes: int
) -> tuple[ClassGaussians, list[LabeledPixels]]:
    """Compute class densities over the features of labeled images and of their mirror images.

    Args:
        features: of an encoder that does not change, in eval mode.
        labeled: images with labels.
        num_classes: C.

    Returns:
        The densities, with the sums of the images that pixels are of; and pixels to calibrate by,
        of up to 32 images that have any.

    Raises:
        ValueError: if there are no labeled pixels.
    """
    gaussians: ClassGaussians | None = None
    kept: list[LabeledPixels] = []
    every, due = -(-len(labeled) // IMAGES), False
    for number, (image, label) in enumerate(labeled):
        due = due or number % every == 0
        left_out = due and bool((label != IGNORE).any())
        due = due and not left_out
        for flip in (False, True):
            view, y = (image.flip(-1), label.flip(-1)) if flip else (image, label)
            maps = features(view[None])
            gaussians = gaussians or ClassGaussians(num_classes, maps.size(1))
            x = maps_to_nodes(maps)[0]
            y = y.to(maps.device)[None]
            shares = maps_to_nodes(class_shares(y, num_classes, maps.shape[-2:]))[0]
            gaussians.add(x, shares, number if left_out else -1)
            if left_out and not flip:
                kept.append(draw_pixels(x, shares, number))
    if gaussians is None:
        raise ValueError("expected labeled images, got none")
    return gaussians, kept


@torch.no_grad()
def start_from_evidence(
    segmenter: Segmenter, labeled: LabeledImages
) -> tuple[list[Calibration], ClassGaussians]:
    r"""Start the class head of a network from class densities over its encoder's stages.

    .. math::
        Z = t\, (e + \log \pi)

    with e of `ClassGaussians`, :math:`\pi` the shares of the classes in the labeled pixels, and t
    the temperature of `calibrate`. Fine-tuning that starts from a fitted head disturbs the encoder
    less (LP-FT, Kumar et al., ICLR 2022).

    Args:
        segmenter: with the decoder `linear`, or `init="evidence"`.
        labeled: images with labels.

    Returns:
        Calibrations, see `calibrate`, and the densities, with the sums of images of their own.

    Raises:
        ValueError: if there are no labeled pixels.
    """
    was_training = segmenter.training
    segmenter.eval()
    gaussians, pixels = fit_gaussians(segmenter.stage_map, labeled, segmenter.num_classes)
    tried = calibrate(gaussians, pixels)
    temperature = tried[0].temperature
    weight, bias, mean = gaussians.discriminant()
    dim = weight.size(1)
    head = segmenter.class_head
    head.weight[:, -dim:, 0, 0] = (temperature * weight).to(head.weight)
    bias = bias - weight @ mean + gaussians.log_prior
    head.bias[:] = temperature * (bias - bias.mean())  # type: ignore[index]
    segmenter.train(was_training)
    return tried, gaussians


class GaussianEvidence(nn.Module):
    r"""Evidence for classes: their densities over a frozen encoder's features, times a weight.

    .. math::
        a\, e_{ic}

    with e of `ClassGaussians`. By Bayes' rule logits plus log densities are a posterior if the
    network and the encoder err apart, which they do in part. It is computed once, from all labeled
    images and their mirror images, since the encoder does not change.

    Args:
        num_classes: C.
        encoder: makes the frozen encoder, called with `feature_dim=0`; best of several strides, and
            with images at twice their size.
        weight: a; None takes half of the temperature at which the evidence of the other labeled
            images explains each labeled image best.
        shrinkage: of the covariance, see `ClassGaussians`; None takes the value with the best mIoU
            on labeled images, each by the others.

    Raises:
        InputError: if an option is out of range.
    """

    weight: Tensor
    cached: dict[int, Tensor]

    def __init__(
        self,
        num_classes: int,
        encoder: Callable[..., FrozenFeatures],
        weight: float | None = None,
        shrinkage: float | None = None,
    ) -> None:
        super().__init__()
        if weight is not None and not 0 <= weight < math.inf:
            raise InputError(f"expected evidence.weight to be 0 or more, or null, got {weight}")
        if shrinkage is not None and not 0 <= shrinkage <= 1:
            raise InputError(f"expected evidence.shrinkage in [0, 1], or null, got {shrinkage}")
        self.encoder = encoder(feature_dim=0)
        self.gaussians = ClassGaussians(num_classes, self.encoder.feature_dim)
        self.asked_weight, self.asked_shrinkage = weight, shrinkage
        self.register_buffer("weight", torch.tensor(0.0))
        self.cached = {}

    @property
    def is_ready(self) -> bool:
        """True once densities are computed, see `prepare`."""
        return bool(self.gaussians.count.any())

    def prepare(self, labeled: LabeledImages) -> list[Calibration]:
        """Compute the densities, and calibrate what is not set.

        Args:
            labeled: images with labels.

        Returns:
            See `calibrate`.

        Raises:
            ValueError: if there are no labeled pixels, or the covariance is singular.
        """
        self.gaussians, pixels = fit_gaussians(self.features, labeled, self.gaussians.num_classes)
        tried = calibrate(self.gaussians, pixels, self.asked_shrinkage)
        self.gaussians.release_images()
        weight = DISCOUNT * tried[0].temperature
        self.weight.fill_(weight if self.asked_weight is None else self.asked_weight)
        self.cached.clear()
        return tried

    def features(self, images: Tensor) -> Tensor:
        """Compute the features whose densities these are, at the size of the finest stage.

        Args:
            images: `(B, 3, H, W)` in [0, 1].

        Returns:
            `(B, D, h, w)`.
        """
        size = self.encoder.finest_size(images.shape[-2:])
        maps: Tensor = self.encoder(images.to(self.weight.device), size)
        return maps

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Compute the weighted log densities of images.

        Args:
            images: `(B, 3, H, W)` in [0, 1].

        Returns:
            `(B, C, h, w)`, at the size of the finest stage.

        Raises:
            ValueError: if nothing was prepared.
        """
        maps = self.features(images)
        e = self.gaussians.evidence(maps_to_nodes(maps)[0])
        return self.weight * nodes_to_maps(e, *maps.shape[-2:])

    def of_images(self, images: Tensor, index: Tensor) -> Tensor:
        """Compute `forward` for images that come again, and keep it in half precision.

        Up to 2 GB are kept; what does not fit is computed again.

        Args:
            images: `(B, 3, H, W)` in [0, 1], always the same for a number.
            index: number of each image `(B,)`.

        Returns:
            `(B, C, h, w)`.
        """
        each = []
        for number, image in zip(index.tolist(), images, strict=True):
            maps = self.cached.get(number)
            if maps is None:
                maps = self(image[None])[0].half().cpu()
                if sum(kept.nbytes for kept in self.cached.values()) < CACHE:
                    self.cached[number] = maps
            each.append(maps)
        return torch.stack(each).to(images)

    def _load_from_state_dict(self, *args: object) -> None:
        self.cached.clear()
        super()._load_from_state_dict(*args)
