"""Weak and strong views of images, labels and weights, computed on the device."""

import kornia.augmentation as K
import torch
from kornia.constants import DataKey, Resample
from torch import Tensor, nn

from graphs.precision import at_least_float32
from pyg_mllc.typing import IGNORE


class WeakView(nn.Module):
    """Random flip, scale, shift and crop, the same for an image and its label.

    Args:
        scale: bounds of the magnification; below 1, the rest of the view is void.
        shift: largest shift, as a share of height and width.
        crop: height and width of the view, cut out at random; by default the size stays.
    """

    def __init__(
        self,
        scale: tuple[float, float] = (0.75, 2.0),
        shift: float = 0.2,
        crop: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        cut = [] if crop is None else [K.RandomCrop((crop[0], crop[1]), pad_if_needed=True)]
        self.geometry = K.AugmentationSequential(
            K.RandomHorizontalFlip(p=0.5),
            K.RandomAffine(degrees=0, translate=(shift, shift), scale=(scale[0], scale[1]), p=1),
            *cut,
            data_keys=["input", "mask"],
            extra_args={DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": None}},
        )

    @torch.no_grad()
    def forward(self, image: Tensor, label: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        """Compute a weak view of image and label, of the same size.

        Args:
            image: `(B, 3, H, W)`.
            label: `(B, H, W)`; in the view, what is outside is IGNORE.
            *maps: more maps of the images `(B, C, H, W)`; in the view, what is outside is 0.

        Returns:
            Image, label and maps.
        """
        # kornia pads with 0, which is a class: shift the labels by one, so that 0 is void.
        shifted = (label.long() + 1) % (IGNORE + 1)
        with torch.autocast(image.device.type, enabled=False):  # half precision moves them apart
            image = at_least_float32(image)
            keys = ["input", "mask", *["input"] * len(maps)]
            image, shifted, *maps = self.geometry(
                image, shifted[:, None].to(image), *maps, data_keys=keys
            )
        return image, (shifted[:, 0].round().long() - 1) % (IGNORE + 1), *maps


class StrongView(nn.Module):
    """Random color, gray and blur, then parts of another image pasted in.

    Args:
        mix: `cutmix` (a box of the other image), `classmix` (half of its classes) or `none`.

    Raises:
        ValueError: if `mix` is another word.
    """

    def __init__(self, mix: str = "cutmix") -> None:
        super().__init__()
        if mix not in ("cutmix", "classmix", "none"):
            raise ValueError(f"expected mix to be cutmix, classmix or none, got {mix}")
        self.mix = mix
        self.color = nn.Sequential(
            K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
            K.RandomGrayscale(p=0.2),
            K.RandomGaussianBlur((5, 5), (0.1, 2.0), p=0.5),
        )

    @torch.no_grad()
    def forward(self, image: Tensor, label: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        """Compute a strong view of an image, and mix all maps alike.

        Args:
            image: `(B, 3, H, W)`.
            label: `(B, H, W)`, whose classes `classmix` draws from.
            *maps: `(B, H, W)`, such as weights of the labels.

        Returns:
            The view, the label and the maps.
        """
        with torch.autocast(image.device.type, enabled=False):
            image = self.color(at_least_float32(image))
        if self.mix == "none":
            return image, label, *maps
        mask = cutmix(label) if self.mix == "cutmix" else classmix(label)
        return paste(mask, image, label, *maps)


def paste(mask: Tensor, *maps: Tensor, source: Tensor | None = None) -> tuple[Tensor, ...]:
    """Paste parts of another image in the batch into each image.

    Args:
        mask: `(B, H, W)` bool.
        *maps: `(B, H, W)` or `(B, C, H, W)`, all treated alike.
        source: position of the other image in the batch `(B,)`; by default the previous one, and
            for the first image the last.

    Returns:
        The maps, mixed.
    """
    if source is None:
        source = torch.arange(len(mask), device=mask.device).roll(1)
    return tuple(torch.where(mask if m.dim() == 3 else mask[:, None], m[source], m) for m in maps)


def cutmix(label: Tensor, share: tuple[float, float] = (0.1, 0.5)) -> Tensor:
    """Draw a mask of a box in each image (CutMix, Yun et al., 2019).

    Args:
        label: `(B, H, W)`, only for its size.
        share: bounds of the box's share of the image.

    Returns:
        `(B, H, W)` bool, true inside.
    """
    size, height, width = label.shape
    area = torch.empty(size).uniform_(*share)
    aspect = torch.empty(size).uniform_(-1, 1).exp()
    box_height = ((area * aspect).sqrt().clamp(max=1) * height).long()
    box_width = ((area / aspect).sqrt().clamp(max=1) * width).long()
    top = (torch.rand(size) * (height - box_height + 1)).long()
    left = (torch.rand(size) * (width - box_width + 1)).long()
    row, column = torch.arange(height), torch.arange(width)
    rows = (row >= top[:, None]) & (row < (top + box_height)[:, None])
    columns = (column >= left[:, None]) & (column < (left + box_width)[:, None])
    return (rows[:, :, None] & columns[:, None, :]).to(label.device)


def classmix(label: Tensor) -> Tensor:
    """Draw half of the classes of the image to paste (ClassMix, Olsson et al., 2021).

    Args:
        label: `(B, H, W)`.

    Returns:
        `(B, H, W)` bool, true on the drawn classes of the image before; never on void.
    """
    masks = []
    for other in label.roll(1, dims=0):
        classes = other.unique()
        classes = classes[classes != IGNORE]
        drawn = classes[torch.randperm(len(classes))[: (len(classes) + 1) // 2].to(label.device)]
        masks.append(torch.isin(other, drawn))
    return torch.stack(masks)
