"""A network from a few images and masks in memory, in seconds, without training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.data.base import Sample, SampleSet
from pyg_mllc.data.builtin_specs import voc_color
from pyg_mllc.data.image_io import as_tensor, fitted_size
from pyg_mllc.errors import InputError
from pyg_mllc.inference.checkpoint import Saved, describe, save_checkpoint
from pyg_mllc.inference.mask_corrector import Labels
from pyg_mllc.inference.predictor import Predictor, choose_device
from pyg_mllc.methods import Instant
from pyg_mllc.nn import LabelCorrector, Segmenter
from pyg_mllc.typing import IGNORE, ImageLike
from pyg_mllc.utils.validation import check_size


def fit(
    images: Sequence[ImageLike],
    masks: Sequence[Labels],
    classes: int | Sequence[str] | None = None,
    *,
    size: tuple[int, int] = (256, 256),
    encoder: str = "tf_efficientnet_lite0",
    weights: str | None = "package",
    scale: float = 2.0,
    output: str | Path | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Predictor:
    """Make a network that segments, from a few images and masks, without training.

    Pixels are classified by Gaussian densities of the classes over a frozen encoder's features, see
    `graphs.ClassGaussians`, and corrected by graphs. `mllc train method=instant` does the same for
    files.

    Args:
        images: in any form that `as_tensor` takes.
        masks: class numbers `(H, W)` of each image, from 0; 255 where void.
        classes: number or names of the classes; by default the largest number in the masks tells.
        size: height and width that images are fitted into, now and at prediction.
        encoder: frozen, any timm encoder.
        weights: of the encoder, see `pyg_mllc.nn.encoders.weight_options`.
        scale: size at which the encoder sees an image, as a ratio to `size`.
        output: checkpoint to write, for `load` and all commands; by default none.
        device: by default a GPU where there is one, else the CPU.
        progress: whether to show a progress bar.

    Returns:
        The network; `predict(image, correct=True)` labels an image.

    Raises:
        InputError: if there are no labels, images and masks do not fit each other, or an option
            cannot be used.
    """
    if len(images) != len(masks):
        raise InputError(f"expected a mask for each image, got {len(images)} and {len(masks)}")
    pairs = [_pair(*pair) for pair in zip(images, masks, strict=True)]
    shown = set().union(*(mask.unique().tolist() for _, mask in pairs)) - {IGNORE}
    if len(shown) == 1:
        raise InputError(
            f"expected masks of two classes at least, got the number {min(shown)} alone, beside "
            f"{IGNORE} for void; (mask == 255) makes class numbers of masks of 0 and 255"
        )
    highest = max((int(mask[mask != IGNORE].max()) for _, mask in pairs if _known(mask)), default=0)
    names = [str(n) for n in range(max(highest + 1, 2))]
    if classes is not None:
        names = [str(n) for n in (range(classes) if isinstance(classes, int) else classes)]
    if highest >= len(names):
        raise InputError(f"expected masks of {len(names)} classes, got the number {highest}")
    height, width = check_size("size", size)
    colors = tuple(voc_color(n) for n in range(len(names)))
    model: dict[str, Any] = {
        "encoder": encoder,
        "decoder": "linear",
        "frozen": True,
        "scale": scale,
    }
    segmenter = Segmenter(len(names), weights=weights, init="evidence", **model)
    method = Instant(segmenter, LabelCorrector(len(names), segmenter.feature_dim))
    method.to(choose_device(device))
    method.prepare(_Fitted(pairs, (height, width)), progress)
    if output is not None:
        description = describe(
            names, colors, (height, width), model=model | {"init": "evidence"}, corrector={},
            method={"_target_": "pyg_mllc.methods.Instant"},
        )  # fmt: skip
        save_checkpoint(output, method, description)
    return Predictor(Saved(method.eval(), tuple(names), colors, (height, width)))


def _pair(image: ImageLike, mask: Labels) -> tuple[Tensor, Tensor]:
    """Return an image `(3, H, W)` and its labels `(H, W)`, checked."""
    picture, labels = as_tensor(image), torch.as_tensor(np.asarray(mask))
    if labels.shape != picture.shape[-2:] or labels.is_floating_point():
        raise InputError(
            f"expected class numbers (H, W) of an image of {tuple(picture.shape[-2:])}, "
            f"got {tuple(labels.shape)} of {labels.dtype}"
        )
    labels = labels.long()
    if labels.min() < 0 or labels.max() > IGNORE:
        bad = labels[(labels < 0) | (labels > IGNORE)][0]
        raise InputError(f"expected class numbers from 0 to {IGNORE}, got {int(bad)}")
    return picture, labels


def _known(mask: Tensor) -> bool:
    return bool((mask != IGNORE).any())


class _Fitted(SampleSet):
    """Images and labels in memory, fitted into a size.

    Args:
        pairs: of images `(3, H, W)` in [0, 1] and labels `(H, W)`.
        size: height and width to fit into.
    """

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]], size: tuple[int, int]) -> None:
        self.pairs, self.size = pairs, size

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        image, label = self.pairs[index]
        height, width = image.shape[-2:]
        size = fitted_size(height, width, self.size)
        image = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
        label = F.interpolate(label[None, None].double(), size, mode="nearest-exact")[0, 0].long()
        return {"image": (255 * image).round().clamp(0, 255).byte(), "label": label}
