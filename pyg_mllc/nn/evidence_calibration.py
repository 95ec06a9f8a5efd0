"""Calibration of class densities by labeled images left out, and by labels that may be wrong."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphs import ClassGaussians

SHRINKAGES = (0.1, 0.3, 0.5, 0.7, 0.9)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
SHARPER = (1.5, 2.0, 3.0, 5.0)  # temperatures of densities that wrong labels have blurred
STEPS = 50  # of expectation maximization
MOSTLY_RIGHT, SURE = 0.501, 0.999  # shares of right labels that can be estimated, at least and most
PIXELS = 1024  # of an image to calibrate by, at most


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
    lines = [
        "evidence, sampled pixels of each labeled image by the other images: "
        "shrinkage, temperature, accuracy, mIoU"
    ]
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
