"""Labels of any image, from a checkpoint alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
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

    def predict(self, image: Picture, **options: object) -> Segmentation:
        """Label one image, see `predict_batch` for the options.

        Args:
            image: path, PIL image, array `(H, W, 3)` or `(H, W)` of uint8, or tensor
                `(3, H, W)`, uint8 or in [0, 1].
            **options: `correct`, `scales`, `flip`, `fit`, `window`, `overlap`.
        """
        return self.predict_batch([image], **options)[0]  # type: ignore[arg-type]

    @torch.no_grad()
    def predict_batch(
        self,
        images: Sequence[Picture],
        *,
        correct: bool = True,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        fit: bool = True,
        window: tuple[int, int] | None = None,
        overlap: float = 0.5,
    ) -> list[Segmentation]:
        """Label images of one size at once.

        The network sees them at the scale that training saw: fitted into `size`, with their
        aspect ratio kept. What it says is brought back to their own size.

        Args:
            images: see `predict`; all of one size.
            correct: whether `label` and `confidence` are those after correction.
            scales: factors on the scale; the mean of the probabilities counts.
            flip: whether to look at mirrored images, too.
            fit: whether to bring images to training's scale; else they are seen pixel by pixel.
            window: height and width of the sliding window; by default `size`, so that the network
                never sees larger views than in training.
            overlap: share of a window that its neighbor covers, too, in [0, 1).

        Raises:
            InputError: if an image is none, sizes differ, or an option is out of range.
        """
        if not scales or min(scales) <= 0 or not 0 <= overlap < 1:
            raise InputError(
                f"expected scales above 0 and overlap in [0, 1), got {list(scales)} and {overlap}"
            )
        given = [as_tensor(image) for image in images]
        sizes = {tuple(image.shape[-2:]) for image in given}
        if len(sizes) != 1:
            raise InputError(f"expected images of one size, at least one, got {sorted(sizes)}")
        own = given[0].shape[-2:]
        views = torch.stack(given).to(next(self.parameters()).device)
        base = fitted_size(own[0], own[1], self.size) if fit else own
        total: list[Tensor | float] = [0.0, 0.0]
        for scale in scales:
            size = max(round(scale * base[0]), 1), max(round(scale * base[1]), 1)
            view = resized(views, size)
            for mirrored in (False, True) if flip else (False,):
                logits = sliding_window(
                    lambda part: torch.cat(self(part, correct), 1),
                    view.flip(-1) if mirrored else view,
                    window or self.size,
                    overlap,
                )
                logits = logits.flip(-1) if mirrored else logits
                for i, part in enumerate(logits.chunk(2, 1)):
                    total[i] = total[i] + upsample(part, own).softmax(1)
        looks = len(scales) * (1 + flip)
        before, after = (part / looks for part in total)
        assert isinstance(before, Tensor) and isinstance(after, Tensor)
        confidence, label = after.max(1)
        return [
            Segmentation(*parts) for parts in zip(label, confidence, before, after, strict=True)
        ]


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring images `(B, 3, H, W)` to a size, antialiased, as training does."""
    if size == tuple(images.shape[-2:]):
        return images
    return nn.functional.interpolate(
        images, size, mode="bilinear", align_corners=False, antialias=True
    )


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
