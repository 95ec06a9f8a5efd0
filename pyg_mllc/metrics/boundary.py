"""Boundary F-score: agreement of the outlines of the classes."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree
from torch import Tensor

from pyg_mllc.typing import IGNORE


def outlines(label: Tensor, num_classes: int) -> Tensor:
    """Find the pixels of each class with a neighbor, of eight, in another class.

    Args:
        label: Classes `(H, W)`.
        num_classes: Number of classes C.

    Returns:
        Masks `(C, H, W)`, bool. The edge of the image is no outline.

    Example:
        >>> outlines(torch.tensor([[0, 0, 0, 1]]), 2).int().tolist()
        [[[0, 0, 1, 0]], [[0, 0, 0, 1]]]
    """
    inside = label == torch.arange(num_classes, device=label.device).view(-1, 1, 1)
    eroded = -F.max_pool2d(-inside.float(), 3, stride=1, padding=1)
    return inside & (eroded == 0)


def boundary_counts(
    guess: Tensor, truth: Tensor, num_classes: int, share: float = 0.0075
) -> Tensor:
    """Count the outline pixels of prediction and truth that match within a tolerance.

    The tolerance is `share` of the image's diagonal (Csurka et al., BMVC 2013), but at least the
    distance of diagonal neighbors. Void takes the class of the nearest known pixel, so an outline
    under a narrow band of void, as in VOC, runs along its middle. Void beyond the tolerance is left
    out.

    Args:
        guess: Predicted classes `(H, W)`.
        truth: True classes `(H, W)`, `IGNORE` where void.
        num_classes: Number of classes C.
        share: Tolerance as a share of the diagonal.

    Returns:
        Counts `(C, 4)` on the CPU: matched and all outline pixels of the prediction, matched and
        all outline pixels of the truth. They can be summed over images.
    """
    reach = max(share * math.hypot(*truth.shape), math.sqrt(2)) + 1e-6
    filled, counted = _without_void(truth.cpu(), reach)
    lines = [outlines(label, num_classes) & counted for label in (guess.cpu(), filled)]
    predicted, true = (_points(line, reach) for line in lines)
    columns = []
    for points, others in ((predicted, true), (true, predicted)):
        near = np.isfinite(KDTree(others).query(points, distance_upper_bound=reach)[0])
        columns += [_per_class(points[near], reach, num_classes)]
        columns += [_per_class(points, reach, num_classes)]
    return torch.from_numpy(np.stack(columns, 1))


def boundary_f(counts: Tensor) -> Tensor:
    r"""Compute the boundary F-score of each class.

    .. math::
        F_c = \frac{2 P_c R_c}{P_c + R_c}

    with precision P, the matched share of the predicted outline, and recall R, that of the true
    one.

    Args:
        counts: Counts `(C, 4)` of `boundary_counts`, or a sum of them.

    Returns:
        Scores `(C,)` in [0, 1]; NaN for classes without an outline in prediction and truth.

    Example:
        >>> boundary_f(torch.tensor([[3, 4, 1, 2], [0, 5, 0, 0], [0, 0, 0, 0]]))
        tensor([0.6000, 0.0000,    nan])
    """
    guess_hit, guess, truth_hit, truth = counts.double().unbind(1)
    precision, recall = guess_hit / guess.clamp(min=1), truth_hit / truth.clamp(min=1)
    score = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return torch.where(guess + truth > 0, score, torch.nan).float()


def _without_void(truth: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Fill void with the nearest class; also return where it is within reach of known pixels."""
    void = truth == IGNORE
    if not void.any() or void.all():
        return truth, ~void
    distance, (y, x) = distance_transform_edt(void.numpy(), return_indices=True)
    return truth[torch.from_numpy(y), torch.from_numpy(x)], torch.from_numpy(distance <= reach)


def _points(line: Tensor, reach: float) -> NDArray[np.float64]:
    """Return outline pixels `(n, 3)`: class, row, column, with classes out of reach of others."""
    return line.nonzero().double().numpy() * [3 * reach, 1, 1]


def _per_class(points: NDArray[np.float64], reach: float, num_classes: int) -> NDArray[np.int64]:
    classes = np.rint(points[:, 0] / (3 * reach)).astype(np.int64)
    return np.bincount(classes, minlength=num_classes)
