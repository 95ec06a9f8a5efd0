"""Calibration: whether confidence agrees with accuracy."""

import torch
from torch import Tensor

BINS = 15


def reliability(confidence: Tensor, right: Tensor, bins: int = BINS) -> Tensor:
    """Count pixels and right pixels in bins of confidence.

    Args:
        confidence: Probability `(N,)` of the predicted class, in [0, 1].
        right: Whether the predicted class is the true one, bool `(N,)`.
        bins: Number of bins of equal width.

    Returns:
        Table `(bins, 3)`, float64: number of pixels, number of right pixels, sum of confidence.
        Tables can be summed over images.

    Example:
        >>> reliability(torch.tensor([0.2, 0.9, 0.7]), torch.tensor([False, True, False]), bins=2)
        tensor([[1.0000, 0.0000, 0.2000],
                [2.0000, 1.0000, 1.6000]], dtype=torch.float64)
    """
    confidence = confidence.flatten().double()
    place = (confidence * bins).long().clamp(0, bins - 1)
    values = torch.stack([torch.ones_like(confidence), right.flatten().double(), confidence])
    return confidence.new_zeros(3, bins).index_add_(1, place, values).T


def calibration_error(table: Tensor) -> Tensor:
    r"""Compute the expected calibration error: the mean gap of confidence and accuracy.

    .. math::
        \mathrm{ECE} = \sum_b \frac{n_b}{N} \, | \mathrm{acc}_b - \mathrm{conf}_b |

    Args:
        table: Table `(bins, 3)` of `reliability`, or a sum of them.

    Returns:
        Error, a scalar in [0, 1]; NaN without pixels.

    Example:
        >>> calibration_error(torch.tensor([[4.0, 1.0, 2.0], [6.0, 6.0, 5.4]]))
        tensor(0.1600)
    """
    return (table[:, 1] - table[:, 2]).abs().sum() / table[:, 0].sum()
