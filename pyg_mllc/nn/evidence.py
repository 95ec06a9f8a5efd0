"""Evidence of labeled images: class densities over an encoder's features."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs import ClassGaussians, maps_to_nodes
from pyg_mllc.nn.segmenter import Segmenter
from pyg_mllc.typing import IGNORE

SHRINKAGES = (0.1, 0.3, 0.5, 0.7, 0.9)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
IMAGES = 32  # that are left out one by one, at most
PIXELS = 1024  # of each of these images

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
    return F.adaptive_avg_pool2d(maps, tuple(size))


@torch.no_grad()
def fit_gaussians(
    features: FeatureMaps, pairs: Iterable[tuple[Tensor, Tensor]], num_classes: int
) -> tuple[ClassGaussians, list[LabeledPixels]]:
    """Compute class densities over the features of labeled images and of their mirror images.

    Args:
        features: of an encoder that does not change, in eval mode.
        pairs: image `(3, H, W)` in [0, 1] and label `(H, W)` of each labeled image, in order.
        num_classes: C.

    Returns:
        The densities, with the sums of the images that pixels are of; and pixels to calibrate by.

    Raises:
        ValueError: if there are no labeled pixels.
    """
    gaussians: ClassGaussians | None = None
    kept: list[LabeledPixels] = []
    pairs = list(pairs)
    every = -(-len(pairs) // IMAGES)
    for number, (image, label) in enumerate(pairs):
        left_out = number % every == 0
        for flip in (False, True):
            view, y = (image.flip(-1), label.flip(-1)) if flip else (image, label)
            maps = features(view[None])
            gaussians = gaussians or ClassGaussians(num_classes, maps.size(1))
            x = maps_to_nodes(maps)[0]
            shares = maps_to_nodes(class_shares(y[None], num_classes, maps.shape[-2:]))[0]
            gaussians.add(x, shares, number if left_out else -1)
            if left_out and not flip:
                kept.append(_draw(x, shares, number))
    if gaussians is None:
        raise ValueError("expected labeled images, got none")
    return gaussians, kept


def _draw(x: Tensor, shares: Tensor, image: int) -> LabeledPixels:
    """Return a uniform sample of the pixels that are mostly of one class."""
    most, label = shares.max(1)
    clear = (most > 0.5).nonzero()[:, 0].cpu()
    generator = torch.Generator().manual_seed(image)
    drawn = clear[torch.randperm(len(clear), generator=generator)[:PIXELS]].to(x.device)
    return LabeledPixels(x[drawn], label[drawn], image)


@torch.no_grad()
def calibrate(
    gaussians: ClassGaussians,
    pixels: Sequence[LabeledPixels],
    shrinkages: Sequence[float] = SHRINKAGES,
) -> list[Calibration]:
    """Leave out each labeled image once, and measure what the others say of it.

    Args:
        gaussians: of `fit_gaussians`; shrunk by the best value afterwards.
        pixels: of `fit_gaussians`.
        shrinkages: to try.

    Returns:
        A calibration for each shrinkage, the best mIoU first. The temperature is that of the
        smallest cross entropy.

    Raises:
        ValueError: if there are fewer than two labeled images.
    """
    if len(pixels) < 2:
        raise ValueError(
            f"expected at least 2 labeled images, to calibrate evidence by leaving one out, "
            f"got {len(pixels)}; give its shrinkage and weight instead"
        )
    label = torch.cat([part.label for part in pixels])
    prior = gaussians.log_prior.to(label.device)
    tried = []
    for shrinkage in shrinkages:
        gaussians.solve(shrinkage)
        each = [_left_out(gaussians, part) for part in pixels]
        z = torch.cat(each) + prior.float()
        loss = [F.cross_entropy(t * z, label).item() for t in TEMPERATURES]
        best = TEMPERATURES[loss.index(min(loss))]
        tried.append(Calibration(shrinkage, best, *_scores(z.argmax(1), label, prior.numel())))
    tried.sort(key=lambda entry: -entry.miou)
    gaussians.solve(tried[0].shrinkage)
    return tried


def calibration_table(tried: Sequence[Calibration]) -> str:
    """Format calibrations as a small table, the chosen one first.

    Args:
        tried: of `calibrate`.

    Returns:
        A line for each, below a heading.
    """
    if not tried:
        return "evidence of one labeled image: nothing to calibrate by"
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
def start_from_evidence(
    segmenter: Segmenter, pairs: Iterable[tuple[Tensor, Tensor]]
) -> list[Calibration]:
    r"""Start the class head of a network from class densities over its encoder's stages.

    .. math::
        Z = t\, (e + \log \pi)

    with e of `ClassGaussians`, :math:`\pi` the shares of the classes in the labeled pixels, and t
    the temperature of `calibrate`. Fine-tuning that starts from a fitted head disturbs the encoder
    less (LP-FT, Kumar et al., ICLR 2022).

    Args:
        segmenter: with the decoder `linear`, or `init="evidence"`.
        pairs: image `(3, H, W)` in [0, 1] and label `(H, W)` of each labeled image.

    Returns:
        See `calibrate`; empty with a single labeled image, whose head has the shrinkage 0.3 and the
        temperature 0.1.

    Raises:
        ValueError: if there are no labeled pixels.
    """
    was_training = segmenter.training
    segmenter.eval()
    gaussians, pixels = fit_gaussians(segmenter.stage_map, pairs, segmenter.num_classes)
    tried = calibrate(gaussians, pixels) if len(pixels) > 1 else []
    if not tried:
        gaussians.solve()
    temperature = tried[0].temperature if tried else 0.1
    weight, bias, mean = gaussians.discriminant()
    dim = weight.size(1)
    head = segmenter.class_head
    head.weight[:, -dim:, 0, 0] = (temperature * weight).to(head.weight)
    bias = bias - weight @ mean + gaussians.log_prior
    head.bias.copy_(temperature * (bias - bias.mean()))
    segmenter.train(was_training)
    return tried
