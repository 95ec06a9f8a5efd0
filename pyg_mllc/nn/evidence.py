"""Evidence of labeled images: class densities over an encoder's features."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs import ClassGaussians, maps_to_nodes, nodes_to_maps
from pyg_mllc.errors import InputError
from pyg_mllc.nn.frozen_features import FrozenFeatures
from pyg_mllc.nn.segmenter import Segmenter
from pyg_mllc.typing import IGNORE

SHRINKAGES = (0.1, 0.3, 0.5, 0.7, 0.9)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
SHARPER = (1.5, 2.0, 3.0, 5.0)  # temperatures of densities that wrong labels have blurred
DISCOUNT = 0.5  # of the temperature, for what a network and a frozen encoder both get wrong
CACHE = 2**31  # bytes of evidence that are kept for images that come again
STEPS = 50  # of expectation maximization
MOSTLY_RIGHT, SURE = 0.501, 0.999  # shares of right labels that can be estimated, at least and most
IMAGES = 32  # that are left out one by one, at most
PIXELS = 1024  # of each of these images


class LabeledImages(Protocol):
    """Images `(3, H, W)` in [0, 1] with labels `(H, W)`, IGNORE where void; read one by one."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...


FeatureMaps = Callable[[Tensor], Tensor]
"""Computes features `(B, D, h, w)` of images `(B, 3, H, W)` in [0, 1]."""


class LabeledPixels(NamedTuple):
    """Pixels of one labeled image, to calibrate by."""

    x: Tensor  # (N, D), features
    label: Tensor  # (N,)
    image: int  # its number


class Calibration(NamedTuple):
    """Evidence of one shrinkage, as each labeled image sees that of the others."""

    shrinkage: float
    temperature: float  # factor t of the log densities and priors
    accuracy: float  # share of the pixels whose class is the most likely one
    miou: float  # mean over the classes of these pixels


ALONE = Calibration(0.3, 0.1, math.nan, math.nan)
"""What evidence is taken with that nothing can be calibrated by."""


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


def draw_pixels(x: Tensor, shares: Tensor, image: int) -> LabeledPixels:
    """Draw a sample of the pixels whose labeled part is mostly of one class, to calibrate by.

    Args:
        x: features `(N, D)` of an image.
        shares: of each class in each pixel `(N, C)`.
        image: its number, which also sets the draw.

    Returns:
        At most 1,024 of them.
    """
    most, label = shares.max(1)
    clear = (most > 0.5 * shares.sum(1)).nonzero()[:, 0].cpu()
    generator = torch.Generator().manual_seed(image)
    drawn = clear[torch.randperm(len(clear), generator=generator)[:PIXELS]].to(x.device)
    return LabeledPixels(x[drawn], label[drawn], image)


@torch.no_grad()
def calibrate(
    gaussians: ClassGaussians,
    pixels: Sequence[LabeledPixels],
    shrinkage: float | None = None,
    noisy: bool = False,
) -> list[Calibration]:
    """Leave out each labeled image once, measure what the others say of it, and solve for the best.

    Pixels of classes that no other image shows have no say.

    Args:
        gaussians: of `fit_gaussians`; shrunk by the best value afterwards.
        pixels: of `fit_gaussians`.
        shrinkage: the only one to try; by default several are.
        noisy: whether labels may be wrong. Then each temperature is scored together with the share
            of right labels that fits it best, see `estimate_label_confidence`.

    Returns:
        A calibration for each shrinkage, the best mIoU first. The temperature is that of the
        smallest cross entropy. With pixels of fewer than two images, `ALONE`, by nothing.

    Raises:
        ValueError: if there are no labeled pixels, or the covariance is singular.
    """
    known = [part for part in map(partial(_known_elsewhere, gaussians), pixels) if len(part.x)]
    tried, temperatures = [], TEMPERATURES + SHARPER if noisy else TEMPERATURES
    if len(known) > 1:
        label = torch.cat([part.label for part in known])
        prior = gaussians.log_prior.float().to(label.device)
        for g in SHRINKAGES if shrinkage is None else (shrinkage,):
            gaussians.solve(g)
            z = torch.cat([_left_out(gaussians, part) for part in known]) + prior
            loss = [_cross_entropy((t * z).log_softmax(1), label, noisy) for t in temperatures]
            best = temperatures[loss.index(min(loss))]
            scores = _scores(z.argmax(1).cpu(), label.cpu(), prior.numel())
            tried.append(Calibration(g, best, *scores))
        tried.sort(key=lambda entry: -entry.miou)
    tried = tried or [ALONE if shrinkage is None else ALONE._replace(shrinkage=shrinkage)]
    gaussians.solve(tried[0].shrinkage)
    return tried


def _cross_entropy(log_posterior: Tensor, label: Tensor, noisy: bool) -> float:
    """Return the mean negative log likelihood of labels."""
    if not noisy:
        return F.nll_loss(log_posterior, label).item()
    b = estimate_label_confidence(label, log_posterior)
    p = log_posterior.gather(1, label[:, None])[:, 0].cpu().double().exp()
    likelihood = b * p + (1 - b) / (log_posterior.size(1) - 1) * (1 - p)
    return -float(likelihood.log().mean())


def _known_elsewhere(gaussians: ClassGaussians, pixels: LabeledPixels) -> LabeledPixels:
    """Return the pixels whose class other images show, too."""
    shown = (gaussians.count_others(pixels.image) > 0).to(pixels.label.device)[pixels.label]
    return pixels._replace(x=pixels.x[shown], label=pixels.label[shown])


def calibration_table(tried: Sequence[Calibration]) -> str:
    """Format calibrations as a small table, the chosen one first.

    Args:
        tried: of `calibrate`.

    Returns:
        A line for each, below a heading.
    """
    if math.isnan(tried[0].miou):
        return "evidence: no two labeled images share their classes, so nothing is calibrated"
    lines = ["evidence, each labeled image by the others: shrinkage, temperature, accuracy, mIoU"]
    for shrinkage, temperature, accuracy, miou in tried:
        figures = f"{100 * accuracy:5.1f}% {100 * miou:5.1f}%"
        lines.append(f"  {shrinkage:4g} {temperature:5g} {figures}")
    return "\n".join([lines[0], f"{lines[1]}  chosen", *lines[2:]])


def _left_out(gaussians: ClassGaussians, pixels: LabeledPixels) -> Tensor:
    number = torch.full((len(pixels.x),), pixels.image, device=pixels.x.device)
    return gaussians.evidence(pixels.x, number)


def _scores(predicted: Tensor, label: Tensor, num_classes: int) -> tuple[float, float]:
    """Return accuracy and mean IoU, in [0, 1]."""
    pairs = (num_classes * label + predicted).bincount(minlength=num_classes**2)
    confusion = pairs.view(num_classes, num_classes).double()
    right, union = confusion.diagonal(), confusion.sum(0) + confusion.sum(1)
    iou = (right / (union - right))[union > 0]
    return float(right.sum() / confusion.sum()), float(iou.mean())


@torch.no_grad()
def estimate_label_confidence(label: Tensor, log_posterior: Tensor) -> float:
    r"""Estimate the share of labels that are right from what evidence says of the same pixels.

    .. math::
        b \leftarrow \frac 1N \sum_i
            \frac{b\, p_i(y_i)}{b\, p_i(y_i) + (1 - b)(1 - p_i(y_i)) / (C - 1)}

    50 times, from b = 0.8: expectation maximization for labels that are right with probability b,
    and else any other class, all alike (Dawid and Skene, 1979, with one parameter for all classes).
    With evidence that says little, it stays near 0.8.

    Args:
        label: y `(N,)`, class numbers.
        log_posterior: log p `(N, C)`, best of evidence that does not rest on these labels.

    Returns:
        b, from 0.501, since most labels are taken to be right, to 0.999; 0.8 without labels.
    """
    num_classes, b = log_posterior.size(1), 0.8
    p = log_posterior.gather(1, label[:, None])[:, 0].cpu().double().exp()
    if not len(p):
        return b
    for _ in range(STEPS):
        right = b * p
        wrong = (1 - b) / (num_classes - 1) * (1 - p)
        b = min(max(float((right / (right + wrong)).mean()), MOSTLY_RIGHT), SURE)
    return b


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
