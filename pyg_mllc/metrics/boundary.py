"""Boundary F-score: how well the outlines of the classes are met."""

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
    """Mark the pixels of each class that touch another one, corners included.

    Args:
        label: `(H, W)`, class numbers.
        num_classes: C.

    Returns:
        `(C, H, W)` bool. The edge of the image is no outline.

    >>> outlines(torch.tensor([[0, 0, 0, 1]]), 2).int().tolist()
    [[[0, 0, 1, 0]], [[0, 0, 0, 1]]]
    """
    inside = label == torch.arange(num_classes, device=label.device).view(-1, 1, 1)
    eroded = -F.max_pool2d(-inside.float(), 3, stride=1, padding=1)
    return inside & (eroded == 0)


def boundary_counts(
    guess: Tensor, truth: Tensor, num_classes: int, share: float = 0.0075
) -> Tensor:
    """Count the outline pixels that lie near the other's outline of the same class.

    Near is within `share` of the image's diagonal (Csurka et al., BMVC 2013), and at least a pixel
    and its diagonal neighbor. Void takes the class of the nearest known pixel, so that an outline
    under a narrow band of void, as VOC has it, runs along its middle; void farther than near from
    known pixels takes no part.

    Args:
        guess: `(H, W)`, class numbers.
        truth: `(H, W)`, with IGNORE for void.
        num_classes: C.
        share: of the diagonal.

    Returns:
        `(C, 4)` on the CPU: outline pixels of the guess that are near the truth's, and all;
        those of the truth that are near the guess's, and all. They can be summed over images.
    """
    reach = max(share * math.hypot(*truth.shape), math.sqrt(2)) + 1e-6
    filled, counted = _without_void(truth.cpu(), reach)
    lines = [outlines(label, num_classes) & counted for label in (guess.cpu(), filled)]
    mine, other = (_points(line, reach) for line in lines)
    columns = []
    for points, theirs in ((mine, other), (other, mine)):
        near = np.isfinite(KDTree(theirs).query(points, distance_upper_bound=reach)[0])
        columns += [_per_class(points[near], reach, num_classes)]
        columns += [_per_class(points, reach, num_classes)]
    return torch.from_numpy(np.stack(columns, 1))


def boundary_f(counts: Tensor) -> Tensor:
    r"""Boundary F-score of each class.

    .. math::
        F_c = \frac{2 P_c R_c}{P_c + R_c}

    with P the share of the guess's outline that is near the truth's, and R the other way round.

    Args:
        counts: `(C, 4)` of `boundary_counts`, or a sum of such.

    Returns:
        `(C,)` in [0, 1]; NaN for classes that neither guess nor truth has an outline of.

    >>> boundary_f(torch.tensor([[3, 4, 1, 2], [0, 5, 0, 0], [0, 0, 0, 0]]))
    tensor([0.6000, 0.0000,    nan])
    """
    guess_hit, guess, truth_hit, truth = counts.double().unbind(1)
    precision, recall = guess_hit / guess.clamp(min=1), truth_hit / truth.clamp(min=1)
    score = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return torch.where(guess + truth > 0, score, torch.nan).float()


def _without_void(truth: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """The truth with its void filled, and where that may be relied on."""
    void = truth == IGNORE
    if not void.any() or void.all():
        return truth, ~void
    distance, (y, x) = distance_transform_edt(void.numpy(), return_indices=True)
    return truth[torch.from_numpy(y), torch.from_numpy(x)], torch.from_numpy(distance <= reach)


def _points(line: Tensor, reach: float) -> NDArray[np.float64]:
    """Pixels `(n, 3)` of all outlines: class, row, column; classes are out of reach."""
    return line.nonzero().double().numpy() * [3 * reach, 1, 1]


def _per_class(points: NDArray[np.float64], reach: float, num_classes: int) -> NDArray[np.int64]:
    classes = np.rint(points[:, 0] / (3 * reach)).astype(np.int64)
    return np.bincount(classes, minlength=num_classes)
