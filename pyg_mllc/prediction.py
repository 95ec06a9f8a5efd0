"""Labels of any image, from a checkpoint alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

from pyg_mllc.checkpoints import Saved, load_method
from pyg_mllc.data.decoding import fitted_size, read_image, to_rgb
from pyg_mllc.errors import InputError
from pyg_mllc.evaluation import sliding_window
from pyg_mllc.losses import upsample

Picture = str | Path | Image.Image | NDArray | Tensor


class Segmentation(NamedTuple):
    """What a network says of one image, at the image's own size."""

    label: Tensor  # (H, W)
    confidence: Tensor  # (H, W), probability of that label
    before: Tensor  # (C, H, W), probabilities before correction
    after: Tensor  # (C, H, W), after it; the same where correction is off


class Predictor(nn.Module):
    """A trained network that labels images of any size and form.

    Args:
        saved: what a checkpoint holds.
        network: `student`, or `teacher`, its average over the training.

    Attributes:
        classes: names of the C classes.
        colors: red, green and blue of each, 0..255.
        size: height and width that training fitted images into.
        method: the method that was trained, in eval mode.
    """

    def __init__(self, saved: Saved, network: str = "student") -> None:
        if network not in ("student", "teacher"):
            raise InputError(f"expected network to be student or teacher, got {network!r}")
        super().__init__()
        self.method, self.classes, self.colors, self.size = saved
        self.network = network
        self.requires_grad_(False).eval()

    def extra_repr(self) -> str:
        return f"{self.network}, {len(self.classes)} classes, images of {self.size}"

    @torch.no_grad()
    def forward(self, images: Tensor, correct: bool = True) -> tuple[Tensor, Tensor]:
        """Give the logits before and after correction, `(B, C, H, W)` each.

        Args:
            images: `(B, 3, H, W)` in [0, 1], seen as they are.
            correct: whether to correct.
        """
        student, teacher = self.method.student, self.method.teacher.network
        network = student if self.network == "student" else teacher
        if correct:
            history = self.method.predict(network, images)
        else:
            history = [network.segmenter(images)]
        first, last = (
            upsample(p.logits.float(), images.shape[-2:]) for p in (history[0], history[-1])
        )
        return first, last

    def predict(self, image: Picture, **options: Any) -> Segmentation:
        """Label one image.

        Args:
            image: path, PIL image, array `(H, W, 3)` or `(H, W)` of uint8, or tensor
                `(3, H, W)`, uint8 or in [0, 1].
            **options: see `predict_batch`.
        """
        return self.predict_batch([image], **options)[0]

    def predict_batch(self, images: Sequence[Picture], **options: Any) -> list[Segmentation]:
        """Label images of one size at once.

        Args:
            images: see `predict`.
            **options: see `logits`.
        """
        given = [as_tensor(image) for image in images]
        size = given[0].shape[-2:] if given else ()
        if any(image.shape[-2:] != size for image in given):
            raise InputError("images of different sizes make no batch; give them one by one")
        found = []
        for before, after in zip(*self.logits(torch.stack(given), **options), strict=True):
            label, confidence = label_map(after, size)
            belief = [upsample(z[None], size)[0].softmax(0) for z in (before, after)]
            found.append(Segmentation(label, confidence, *belief))
        return found

    @torch.no_grad()
    def logits(
        self,
        images: Tensor,
        *,
        correct: bool = True,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        fit: bool = True,
        window: Sequence[int] | None = None,
        overlap: float = 0.5,
    ) -> tuple[Tensor, Tensor]:
        """Give the logits `(B, C, h, w)` before and after correction, at the scale that is seen.

        That is, by default, the scale that training saw: images fitted into `size`, with their
        aspect ratio kept.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            correct: whether to correct at all; else both are those before.
            scales: further looks at the images so many times larger; the mean logits count.
            flip: whether to look at mirrored images, too.
            fit: whether to bring images to training's scale; else they are seen pixel by pixel.
            window: height and width of the sliding window; by default `size`, so that the network
                never sees larger views than in training.
            overlap: share of a window that its neighbor covers, too, in [0, 1).

        Raises:
            InputError: if an option is out of range.
        """
        window = tuple(window or self.size)
        if not scales or min(scales) <= 0 or not 0 <= overlap < 1 or min(window) < 1:
            raise InputError(
                "expected scales above 0, overlap in [0, 1) and a window of 1 pixel or more, got "
                f"scales={list(scales)}, overlap={overlap} and window={list(window)}"
            )
        images = images.to(next(self.parameters()).device)
        height, width = images.shape[-2:]
        seen = fitted_size(height, width, self.size) if fit else (height, width)
        looks = []
        for scale in scales:
            view = _resized(images, (round(scale * seen[0]), round(scale * seen[1])))
            for mirrored in (False, True) if flip else (False,):
                view = view.flip(-1) if mirrored else view
                both = sliding_window(
                    lambda part: torch.cat(self(part, correct), 1), view, window, overlap
                )
                looks.append(upsample(both.flip(-1) if mirrored else both, seen))
        before, after = torch.stack(looks).mean(0).chunk(2, 1)
        return before, after


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images `(B, 3, H, W)` at another size, antialiased as in training."""
    size = max(size[0], 1), max(size[1], 1)
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def label_map(logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Give labels and their probabilities `(H, W)` at any size, holding no C maps of that size.

    Args:
        logits: `(C, h, w)`.
        size: height and width (H, W).

    >>> label_map(torch.tensor([0.0, 2.0]).view(2, 1, 1), (1, 2))
    (tensor([[1, 1]]), tensor([[0.8808, 0.8808]]))
    """
    best = logits.new_full(size, -torch.inf)
    rest = torch.zeros_like(best)  # sum of exp(z - best)
    label = torch.zeros_like(best, dtype=torch.long)
    for number, low in enumerate(logits):
        z = upsample(low[None, None], size)[0, 0]
        label[z > best] = number
        higher = torch.maximum(z, best)
        rest = rest * (best - higher).exp() + (z - higher).exp()
        best = higher
    return label, 1 / rest


def as_tensor(image: Picture) -> Tensor:
    """Give an image in any form as `(3, H, W)` in [0, 1].

    Args:
        image: path, PIL image, array `(H, W, 3)` or `(H, W)` of uint8, or tensor `(3, H, W)`,
            uint8 or in [0, 1].

    Raises:
        InputError: if it is none, saying what is expected.
    """
    if isinstance(image, str | Path):
        image = read_image(Path(image))
    elif isinstance(image, Image.Image):
        image = to_rgb(ImageOps.exif_transpose(image), "the image")
    if not isinstance(image, Tensor):
        image = _from_array(np.asarray(image))
    if image.dim() != 3 or len(image) != 3 or not image.numel():
        raise InputError(f"expected an image (3, H, W), got a tensor {tuple(image.shape)}")
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point() or not (image.min() >= 0 and image.max() <= 1):
        raise InputError(
            f"expected a tensor of uint8 or of floats in [0, 1], got {image.dtype} from "
            f"{image.min().item()} to {image.max().item()}"
        )
    return image.float()


def _from_array(image: NDArray) -> Tensor:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise InputError(
            f"expected a path, a PIL image, an array (H, W, 3) of uint8 or a tensor (3, H, W), "
            f"got an array {image.shape} of {image.dtype}"
        )
    image = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
    return torch.from_numpy(image.copy()).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)


def load(
    path: str | Path,
    network: str = "student",
    device: str | torch.device | None = None,
    allow: Sequence[str] = (),
) -> Predictor:
    """Load the network of a checkpoint, ready to label images. Its file cannot run any code.

    Args:
        path: `last.ckpt` or `best.ckpt` of a run.
        network: `student`, or `teacher`, its average over the training.
        device: by default a GPU where there is one, else the CPU.
        allow: packages that the checkpoint may name classes of, beside those of pyg_mllc, for
            methods and models of one's own.

    Raises:
        InputError: if it is no checkpoint that can be used, saying why.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return Predictor(load_method(path, allow), network).to(device)
