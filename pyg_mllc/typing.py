"""Types and constants that the whole package shares."""

from pathlib import Path

from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

IGNORE = 255
"""Label of the pixels that no loss and no metric counts: void and padding."""


Color = tuple[int, int, int]  # red, green, blue, 0-255


ImageLike = str | Path | Image.Image | NDArray | Tensor


Scores = dict[str, Tensor]
"""Scores of a set of images by name, see `SegmentationMetrics.compute`."""
