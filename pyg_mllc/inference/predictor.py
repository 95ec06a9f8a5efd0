"""Labels of any image, from a checkpoint alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs import join_features
from pyg_mllc.data.image_io import as_tensor, fitted_size
from pyg_mllc.errors import InputError
from pyg_mllc.inference.checkpoint import Saved, load_method
from pyg_mllc.inference.postprocessing import label_map
from pyg_mllc.inference.sliding_window import sliding_window
from pyg_mllc.nn import CorrectedSegmenter, CorrectionOutput, LabelCorrector, Segmenter
from pyg_mllc.typing import ImageLike
from pyg_mllc.utils.resize import upsample
from pyg_mllc.utils.validation import check_size


class Segmentation(NamedTuple):
    """Labels and probabilities of one image, at the image's own size."""

    label: Tensor  # (H, W)
    confidence: Tensor  # (H, W), probability of that label
    before: Tensor  # (C, H, W), probabilities before correction
    after: Tensor  # (C, H, W), after it; the same where correction is off


class Predictor(nn.Module):
    """A trained network that labels images of any size and form.

    Args:
        saved: what a checkpoint holds.
        role: of the network that predicts: `student`, or `teacher`, its average over the training.

    Attributes:
        network: segmenter and corrector, in eval mode.
        memory: what training has kept for correction.
        role: `student` or `teacher`.
        trains_embedding: whether the embedding of the segmenter has learned anything.
        classes: names of the C classes.
        colors: red, green and blue of each, 0..255.
        size: height and width that training fitted images into.

    Raises:
        InputError: if there is no network of this role.
    """

    def __init__(self, saved: Saved, role: str = "student") -> None:
        if role not in ("student", "teacher"):
            raise InputError(f"expected network to be student or teacher, got {role!r}")
        super().__init__()
        method, self.classes, self.colors, self.size = saved
        student, teacher = method.student, method.teacher.network
        self.network: CorrectedSegmenter = student if role == "student" else teacher
        self.memory, self.trains_embedding = method.memory, method.trains_embedding
        self.role = role
        self.requires_grad_(False).eval()

    def extra_repr(self) -> str:
        return f"{self.role}, {len(self.classes)} classes, images of {self.size}"

    @property
    def segmenter(self) -> Segmenter:
        """Network that predicts before correction."""
        return self.network.segmenter

    @property
    def corrector(self) -> LabelCorrector:
        """Network that corrects labels; without rounds, it changes nothing."""
        return self.network.corrector

    def check_correction(self) -> None:
        """Raise if the network has no rounds of correction.

        Raises:
            InputError: if so.
        """
        if not len(self.corrector.rounds):
            raise InputError(
                "this network was trained without correction, so correct=true has nothing to "
                "correct by; leave it out, or train with method=mllc or method.correct=true"
            )

    def fitted(self, images: Tensor) -> Tensor:
        """Resize images to the scale of training.

        Args:
            images: `(B, 3, H, W)` in [0, 1].

        Returns:
            `(B, 3, h, w)` on the network's device, aspect ratio kept.
        """
        images = images.to(next(self.parameters()).device)
        height, width = images.shape[-2:]
        return _resized(images, fitted_size(height, width, self.size))

    @torch.no_grad()
    def forward(self, images: Tensor, correct: bool = False) -> tuple[Tensor, Tensor]:
        """Compute the logits before and after correction.

        Args:
            images: `(B, 3, H, W)` in [0, 1], seen as they are.
            correct: whether to correct; else both are those before.

        Returns:
            Two tensors `(B, C, H, W)`, in float32.
        """
        if correct:
            output: CorrectionOutput = self.network(images, self.memory)
        else:
            output = CorrectionOutput(self.segmenter(images))
        before, after = (
            upsample(p.logits.float(), images.shape[-2:]) for p in (output.before, output.after)
        )
        return before, after

    @torch.no_grad()
    def features(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Compute features of images for graphs.

        They are the encoder's stages of stride 4 to 16 side by side, and the embedding if it was
        trained.

        Args:
            images: `(B, 3, H, W)` in [0, 1]; seen at the scale that training saw.
            size: height and width (h, w).

        Returns:
            `(B, D, h, w)`.
        """
        view, segmenter = self.fitted(images), self.segmenter
        stages = segmenter.encode(view)
        maps = [m for m in stages if m.dim() == 4 and view.size(-1) / m.size(-1) > 3]
        maps = [m for m in maps if view.size(-1) / m.size(-1) < 20] or maps
        if self.trains_embedding:
            maps.append(segmenter.decode(stages).features)
        return join_features([upsample(maps[0], size), *maps[1:]])

    def predict(self, image: ImageLike, **options: Any) -> Segmentation:
        """Label one image.

        Args:
            image: path, PIL image, array `(H, W, 3)` or `(H, W)` of uint8, or tensor
                `(3, H, W)`, uint8 or in [0, 1].
            **options: `correct=True` corrects by graphs, as the method did in training; `scales`,
                `flip`, `fit`, `window` and `overlap` tell how to look, see `logits`.

        Returns:
            Labels and probabilities, at the image's own size.

        Raises:
            InputError: if it is no image, or an option is out of range.
        """
        return self.predict_batch([image], **options)[0]

    def predict_batch(self, images: Sequence[ImageLike], **options: Any) -> list[Segmentation]:
        """Label images of one size at once.

        Args:
            images: see `predict`.
            **options: see `predict`.

        Returns:
            Labels and probabilities of each image, at its own size.

        Raises:
            InputError: as `predict`, or if sizes differ.
        """
        tensors = [as_tensor(image) for image in images]
        if len({image.shape for image in tensors}) != 1:
            raise InputError("a batch is images of one size; give those of others one by one")
        size = tensors[0].shape[1], tensors[0].shape[2]
        segmentations = []
        for before, after in zip(*self.logits(torch.stack(tensors), **options), strict=True):
            label, confidence = label_map(after, size)
            probabilities = [upsample(z[None], size)[0].softmax(0) for z in (before, after)]
            segmentations.append(Segmentation(label, confidence, *probabilities))
        return segmentations

    @torch.no_grad()
    def logits(
        self,
        images: Tensor,
        *,
        correct: bool = False,
        scales: Sequence[float] | float = (1.0,),
        flip: bool = False,
        fit: bool = True,
        window: Sequence[int] | None = None,
        overlap: float = 0.5,
    ) -> tuple[Tensor, Tensor]:
        """Compute the logits before and after correction, averaged over scales and flips.

        That is, by default, the scale that training saw: images fitted into `size`, with their
        aspect ratio kept.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            correct: whether to correct by graphs, as the method did in training; by default both
                are those before.
            scales: further looks at the images so many times larger; the mean logits count.
            flip: whether to look at mirrored images, too.
            fit: whether to bring images to training's scale; else they are seen pixel by pixel.
            window: height and width of the sliding window; by default `size`, so that the network
                never sees larger views than in training.
            overlap: share of a window that its neighbor covers, too, in [0, 1).

        Returns:
            Two tensors `(B, C, h, w)`, at the scale of training or, without `fit`, of the images.

        Raises:
            InputError: if an option is out of range.
        """
        window = check_size("window", window or self.size)
        scales = [scales] if isinstance(scales, int | float) else scales
        numbers = all(isinstance(number, int | float) for number in (*scales, overlap))
        if not numbers or not scales or min(scales) <= 0 or not 0 <= overlap < 1:
            raise InputError(
                "expected scales above 0, such as [1,1.5], and overlap in [0, 1), got "
                f"scales={scales} and overlap={overlap}"
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
    """Return images `(B, 3, H, W)` at another size, antialiased as in training."""
    size = max(size[0], 1), max(size[1], 1)
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def load(
    path: str | Path,
    network: str = "student",
    device: str | torch.device | None = None,
    allow: str | Sequence[str] = (),
) -> Predictor:
    """Load the network of a checkpoint, ready to label images; no code of the file runs.

    Args:
        path: `last.ckpt` or `best.ckpt` of a run.
        network: `student`, or `teacher`, its average over the training.
        device: by default a GPU where there is one, else the CPU.
        allow: packages whose classes the checkpoint may name, in addition to pyg_mllc, for your own
            methods and models.

    Returns:
        The network, on the device, in eval mode.

    Raises:
        InputError: if it is no checkpoint that can be used, saying why.
    """
    place = choose_device(device)
    return Predictor(load_method(path, allow), network).to(place)


def choose_device(device: str | torch.device | None) -> torch.device:
    """Choose the device to compute on.

    Args:
        device: `cpu`, `cuda`, ...; None takes a GPU if there is one, else the CPU.

    Returns:
        The device.

    Raises:
        InputError: if there is no such device.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        reason = str(error).splitlines()[0]
        raise InputError(f"device={device} cannot be used: {reason}") from error
