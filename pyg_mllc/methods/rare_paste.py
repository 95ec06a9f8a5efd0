"""Rare classes of labeled images, pasted over other labeled images."""

import torch
from torch import Tensor, nn

from pyg_mllc.data.loaders import class_draw_probabilities
from pyg_mllc.errors import InputError
from pyg_mllc.transforms import paste
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.validation import check_type


class RarePaste(nn.Module):
    r"""Paste a rare class of another image of the batch over an image, colors and label alike.

    .. math::
        P(c) \propto [f_c < 1 / C']\, [c \text{ is in another image}]\,
        \exp\big( (1 - f_c) / T \big)

    where :math:`f_c` is the class's share of all labeled pixels, and C' counts the classes that
    have some; T is the default of `class_draw_probabilities`. An image that holds the class is
    drawn, and all its pixels of the class are pasted where they are. This is the adaptive
    copy-paste of AEL (Hu et al., NeurIPS 2021), with shares of classes in place of its bank of
    confidences. As in Ghiasi et al. (CVPR 2021), both images are weak views of their own.

    The exact mask is pasted, not a box around it, so that no frequent class comes along and covers
    what is rare in the image below.

    Args:
        num_classes: C.
        probability: that an image receives a paste.

    Raises:
        InputError: if `probability` is no number in [0, 1].
    """

    class_counts: Tensor

    def __init__(self, num_classes: int, probability: float) -> None:
        super().__init__()
        check_type("method.rare_paste", probability, float)
        if not 0 <= probability <= 1:
            raise InputError(f"expected method.rare_paste in [0, 1], got {probability}")
        self.probability = probability
        self.register_buffer("class_counts", torch.zeros(num_classes, dtype=torch.long))

    @property
    def chances(self) -> Tensor:
        """P `(C,)` of the classes before any image is looked at, on the CPU; 0 if not rare."""
        counts = self.class_counts.cpu()
        rare = counts * (counts > 0).sum() < counts.sum()
        return torch.from_numpy(class_draw_probabilities(counts.numpy())) * rare

    def forward(
        self, image: Tensor, label: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Paste into a random part of the images.

        Args:
            image: `(B, 3, H, W)`.
            label: `(B, H, W)`; void is never pasted.
            index: number of each image `(B,)`, by which one that is twice in the batch is known;
                by default all differ.

        Returns:
            Images, labels, and the position in the batch `(B, H, W)` of the image that each pixel
            comes from.

        Raises:
            InputError: if no pixels of classes have been counted.
        """
        if not self.class_counts.any():
            raise InputError(
                "method.rare_paste needs the labeled pixels of each class: call "
                "method.prepare(labeled), with labels, before the first step"
            )
        source, drawn = (part.to(label.device) for part in self._draw(label, index))
        position = torch.arange(len(label), device=label.device)[:, None, None].expand_as(label)
        mask = label[source] == drawn[:, None, None]
        return paste(mask, image, label, position, source=source)

    def _draw(self, label: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor]:
        """Draw the image and its class to paste `(B,)`; without a paste, the class is -1."""
        number = torch.arange(len(label)) if index is None else index.cpu()
        counts = [torch.bincount(m.flatten(), minlength=IGNORE + 1) for m in label]
        holds = torch.stack(counts).cpu()[:, : len(self.class_counts)] > 0
        source, drawn = torch.arange(len(label)), torch.full((len(label),), -1)
        for i in (torch.rand(len(label)) < self.probability).nonzero().flatten():
            others = holds & (number != number[i])[:, None]
            chances = self.chances * others.any(0)
            if chances.any():
                drawn[i] = torch.multinomial(chances, 1)
                source[i] = torch.multinomial(others[:, drawn[i]].double(), 1)
        return source, drawn
