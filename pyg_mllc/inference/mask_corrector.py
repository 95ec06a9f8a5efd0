"""Find and correct wrong labels in masks without training, image by image."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from graphs import AnchorMemory, ClassGaussians, maps_to_nodes, nodes_to_maps
from pyg_mllc.data.image_io import as_tensor
from pyg_mllc.errors import InputError
from pyg_mllc.inference.postprocessing import softmax_of
from pyg_mllc.nn import LabelCorrector
from pyg_mllc.nn.evidence import DISCOUNT, IMAGES
from pyg_mllc.nn.evidence_calibration import (
    MOSTLY_RIGHT,
    LabeledPixels,
    calibrate,
    draw_pixels,
    estimate_label_confidence,
)
from pyg_mllc.nn.frozen_features import EncoderFeatures
from pyg_mllc.nn.soft_labels import label_logits, label_margin
from pyg_mllc.typing import IGNORE, ImageLike
from pyg_mllc.utils.resize import joint_bilateral_upsampling, upsample

log = logging.getLogger(__name__)

FeatureExtractor = Callable[[Tensor, tuple[int, int]], Tensor]
"""Returns features `(1, D, h, w)` of an image `(1, 3, H, W)` in [0, 1] at a size (h, w)."""
Labels = NDArray | Tensor
"""Labels `(H, W)`, IGNORE where void; or probabilities `(C, H, W)`."""

LEAST = 1e-4  # probability, for a logarithm that is finite
FOLDS = 256  # of images whose densities are hidden from each other
CONFIDENCE = 0.8  # of a label, where no evidence tells it
LABEL_DISCOUNT = 0.7  # of the temperature, see experiments/label_noise/README.md
MAX_ERROR_RATIO = 0.8  # of wrong labels after the rounds to those before, for rounds to be taken


class MaskCorrection(NamedTuple):
    """Corrected labels of one image."""

    given: Tensor  # (H, W), the labels to correct
    label: Tensor  # (H, W), corrected; void stays void
    confidence: Tensor  # (H, W), probability of that label
    doubt: Tensor  # (H, W), probability that the label given is wrong; 0 where void
    suggested: Tensor  # (H, W), the most likely other label
    changed: Tensor  # (H, W) bool


class MaskCorrector:
    """Find and correct wrong labels of masks, drawn or predicted, without any training.

    Graphs over the pixels of an image tell which labels do not go with what the image shows. After
    `fit`, so do pixels of other images: of masks that are trusted, or of the very masks to correct,
    since errors that differ from image to image are outvoted.

    Args:
        num_classes: C, at least 2.
        encoder: computes the features that graphs are built from; by default `EncoderFeatures()`.
        label_confidence: prior probability that a label of a mask is correct, in (0, 1). By default
            that at which the densities explain the mask best, see `estimate_label_confidence`, or
            0.8 by other rules. Ignored for probabilities.
        pixels: of the map at which an image is corrected, at most; its change is brought back to
            the mask's size. Errors finer than a pixel of this map stay.
        anchors: pixels that `fit` keeps, in all classes together.
        device: of the computation.
        anchor_rule: how pixels of other images take part: `mean`, among the neighbors, or `bayes`,
            as evidence, see `LabelCorrector`; or `gaussians`: all of them, not a sample, as
            Gaussian densities of the classes, see `ClassGaussians`. These are added to the labels
            after the rounds if they agree better with them than with the mask, else to the mask.
        anchor_share: their weight, see `LabelCorrector`; with `gaussians` that of log densities and
            log priors. By default it is 0.7 of the temperature at which they explain the other
            masks best; beside probabilities 0.5 of it, without priors, since a network has its own,
            and errs in part where the encoder does.
        **options: of `LabelCorrector`, such as `rounds`, `k` or `edge_aware`.

    Raises:
        InputError: if an option is out of range, or the corrector does not take it.

    >>> encoder = lambda image, size: torch.nn.functional.interpolate(image, size)
    >>> image = 0.2 * torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> image[0, :, :8], image[1, :, 8:] = image[0, :, :8] + 0.8, image[1, :, 8:] + 0.8
    >>> mask = torch.zeros(16, 16, dtype=torch.long)
    >>> mask[:, 8:], mask[5, 12] = 1, 0
    >>> correction = MaskCorrector(2, encoder, rounds=1).correct(image, mask)
    >>> correction.changed.nonzero().tolist(), correction.label[5, 12].item()
    ([[5, 12]], 1)
    """

    def __init__(
        self,
        num_classes: int,
        encoder: FeatureExtractor | None = None,
        *,
        label_confidence: float | None = None,
        pixels: int = 16_384,
        anchors: int = 12_000,
        device: str | torch.device = "cpu",
        anchor_rule: str = "mean",
        anchor_share: float | None = None,
        **options: Any,
    ) -> None:
        if pixels < 1:
            raise InputError(f"expected pixels to be 1 or more, got {pixels}")
        if anchor_rule not in ("mean", "bayes", "gaussians"):
            raise InputError(
                f"expected anchor_rule to be mean, bayes or gaussians, got {anchor_rule}"
            )
        if encoder is None:
            encoder = EncoderFeatures()
        if isinstance(encoder, EncoderFeatures):
            encoder.encoder.to(device)
        self.num_classes, self.encoder, self.pixels = num_classes, encoder, pixels
        self.budget, self.device = anchors, torch.device(device)
        self.memory: AnchorMemory | None = None
        self.gaussians: ClassGaussians | None = None
        self.uses_gaussians, self.evidence_weight = anchor_rule == "gaussians", anchor_share
        self.label_confidence = label_confidence
        if not self.uses_gaussians:
            options |= {"anchor_rule": anchor_rule, "anchor_share": anchor_share}
        elif anchor_share is not None and not 0 <= anchor_share < math.inf:
            raise InputError(f"expected anchor_share of 0 or more, got {anchor_share}")
        try:
            self.margin = label_margin(
                num_classes, CONFIDENCE if label_confidence is None else label_confidence
            )
            self.corrector = LabelCorrector(num_classes, **options)
        except (TypeError, ValueError) as error:
            raise InputError(f"the corrector cannot be made so: {error}") from error

    def check(self, image: ImageLike, mask: Labels) -> None:
        """Raise an error if an image and a mask cannot be read or do not fit.

        Args:
            image: see `correct`.
            mask: see `correct`.

        Raises:
            InputError: as `correct`.
        """
        self._both(image, mask)

    def fit(self, images: Iterable[ImageLike], masks: Iterable[Labels]) -> Self:
        """Store pixels of masks as anchors or densities, in place of earlier ones.

        Args:
            images: in any form that `as_tensor` takes; read one by one.
            masks: of the images, in order.

        Returns:
            The corrector itself.

        Raises:
            InputError: as `correct`, or if there are fewer anchors than classes.
        """
        self.memory, self.gaussians, shown = None, None, set[int]()
        kept: list[LabeledPixels] = []
        for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
            picture, labels = self._both(image, mask)
            share = self._shares(labels, self._size(picture))
            x, _ = maps_to_nodes(self.encoder(picture[None], self._size(picture)))
            most, label = share.flatten(1).max(0)
            shown |= set((labels if labels.dim() == 2 else labels.argmax(0)).unique().tolist())
            sure = most > 0.5  # of the pixels that a node stands for
            if self.uses_gaussians:
                if self.gaussians is None:
                    self.gaussians = ClassGaussians(self.num_classes, x.size(1))
                shares = share.flatten(1).T
                self.gaussians.add(x, shares, number % FOLDS)
                if len(kept) < IMAGES and bool(share.any()):
                    kept.append(draw_pixels(x, shares, number % FOLDS))
                continue
            if self.memory is None:
                try:
                    made = AnchorMemory(self.num_classes, x.size(1), self.budget)
                except ValueError as error:
                    raise InputError(f"anchors: {error}") from error
                self.memory = made.to(self.device)
            self.memory.add(x[sure], label[sure], number)
        if len(shown - {IGNORE}) == 1:
            void = f" and {IGNORE}, which means void" if IGNORE in shown else ""
            log.warning(
                "the masks show the class %d alone%s, so that nothing tells classes apart: labels "
                "are class numbers from 0 to %d, such as (mask == 255) for masks of 0 and 255",
                *(shown - {IGNORE}), void, self.num_classes - 1,
            )  # fmt: skip
        if self.gaussians is not None:
            self._solve(self.gaussians, kept)
        return self

    def _solve(self, gaussians: ClassGaussians, kept: list[LabeledPixels]) -> None:
        """Choose shrinkage and weight of the densities, each image by the others."""
        try:
            tried = calibrate(gaussians, kept, noisy=True)
        except ValueError as error:
            raise InputError(f"anchor_rule=gaussians: {error}") from error
        self.temperature = tried[0].temperature

    def transform(
        self, images: Iterable[ImageLike], masks: Iterable[Labels]
    ) -> list[MaskCorrection]:
        """Correct masks with the anchors of `fit`, if there are any.

        Args:
            images: see `fit`.
            masks: see `fit`.

        Returns:
            The corrected labels of each image, in order.

        Raises:
            InputError: as `correct`.
        """
        return list(self._each(images, masks, own=False))

    def fit_transform(
        self, images: Iterable[ImageLike], masks: Iterable[Labels]
    ) -> list[MaskCorrection]:
        """Correct masks, with those of the other images as anchors.

        Args:
            images: see `fit`; each is read twice.
            masks: see `fit`.

        Returns:
            The corrected labels of each image, in order.

        Raises:
            InputError: as `fit`.
        """
        images, masks = list(images), list(masks)
        self.fit(images, masks)
        return list(self._each(images, masks, own=True))

    @torch.no_grad()
    def correct(self, image: ImageLike, mask: Labels, number: int | None = None) -> MaskCorrection:
        """Correct the labels of one image.

        Args:
            image: in any form that `as_tensor` takes.
            mask: labels `(H, W)`, IGNORE where void, or probabilities `(C, H, W)`.
            number: of the image among those that `fit` got, whose own anchors are hidden from it;
                with `gaussians`, so are those of the numbers 256, 512, ... away.

        Returns:
            The labels before and after correction, with confidence and doubt of each pixel.

        Raises:
            InputError: if the mask is of another size than the image, or has other classes.
        """
        picture, labels = self._both(image, mask)
        size = self._size(picture)
        share, maps = self._shares(labels, size), self.encoder(picture[None], size)
        densities = self._log_densities(maps, -1 if number is None else number % FOLDS)
        margin = self.margin
        if densities is not None and labels.dim() == 2:
            margin, change = self._evidence_change(
                labels, share, maps, *densities, own=number is not None
            )
        else:
            more: dict[str, Any] = {}
            if densities is not None:
                more["evidence"] = self._density_weight(DISCOUNT) * densities[0][None]
            if self.memory is not None and len(self.memory):
                more["anchors"] = self.memory
                if number is not None:
                    more["image"] = torch.tensor([number])
            small = margin * share if labels.dim() == 2 else _log(share)
            output = self.corrector(small[None], maps, **more)
            change = (output.after.logits - output.before.logits)[0]
        before = labels if labels.dim() == 2 else labels.argmax(0)
        enlarge: Callable[[Tensor], Tensor] = partial(upsample, size=before.shape)
        if self.corrector.edge_aware:
            enlarge = joint_bilateral_upsampling(picture[None], size)
        own = torch.zeros_like(picture[0])  # logit of the label to correct
        best_other, suggested = torch.full_like(own, -torch.inf), torch.zeros_like(before)

        def logits() -> Iterator[Tensor]:
            for c in range(self.num_classes):
                prior = margin * (labels == c) if labels.dim() == 2 else _log(labels[c])
                z = prior + enlarge(change[None, None, c])[0, 0]
                own[before == c] = z[before == c]
                rival = (z > best_other) & (before != c)
                best_other[rival], suggested[rival] = z[rival], c
                yield z

        label, best, total = softmax_of(logits())
        known = before != IGNORE
        label = torch.where(known, label, IGNORE)
        doubt = torch.where(known, 1 - (own - total).exp(), 0.0)
        confidence = (best - total).exp()
        return MaskCorrection(before, label, confidence, doubt, suggested, label != before)

    def _log_densities(self, maps: Tensor, fold: int) -> tuple[Tensor, Tensor] | None:
        """Return log densities `(C, h, w)` and log priors of the classes, if others show any."""
        if self.gaussians is None or not self.gaussians.count_others(fold).any():
            return None  # a single mask has no other
        x = maps_to_nodes(maps)[0]
        e = self.gaussians.evidence(x, torch.full((len(x),), fold, device=x.device))
        prior = self.gaussians.log_prior.to(e)[:, None, None]
        return nodes_to_maps(e, *maps.shape[-2:])[0], prior

    def _density_weight(self, discount: float) -> float:
        return discount * self.temperature if self.evidence_weight is None else self.evidence_weight

    def _evidence_change(
        self, mask: Tensor, share: Tensor, maps: Tensor, densities: Tensor, prior: Tensor, own: bool
    ) -> tuple[float, Tensor]:
        """Return the margin of the mask's labels, and how far their logits `(C, h, w)` change.

        If the densities rest on masks of the same source, `own`, repeated errors look like
        ambiguity to them. So the estimate of how many labels are right is at most the share of
        labels that are their most likely class.
        """
        joint = densities + prior
        log_posterior = (self.temperature * joint).log_softmax(0)
        pixels = F.interpolate(mask[None, None].float(), share.shape[1:], mode="nearest-exact")
        known = pixels[0, 0] != IGNORE

        def confidence_of(label: Tensor) -> float:
            label, log_p = label[known], log_posterior[:, known].T
            b = estimate_label_confidence(label, log_p)
            agree = float((label == log_p.argmax(1)).float().mean()) if own and len(label) else 1.0
            return max(min(b, agree), MOSTLY_RIGHT)

        estimate = confidence_of(pixels[0, 0].long())
        confidence = estimate if self.label_confidence is None else self.label_confidence
        margin = label_margin(self.num_classes, confidence)
        before = after = margin * share
        smoothed = self.corrector(before[None], maps).after.logits[0].argmax(0)
        smoothed_estimate = confidence_of(smoothed)
        if 1 - smoothed_estimate < MAX_ERROR_RATIO * (1 - estimate):
            after = label_logits(smoothed, self.num_classes, smoothed_estimate).permute(2, 0, 1)
        return margin, after + self._density_weight(LABEL_DISCOUNT) * joint - before

    def _each(
        self, images: Iterable[ImageLike], masks: Iterable[Labels], own: bool
    ) -> Iterator[MaskCorrection]:
        for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
            yield self.correct(image, mask, number if own else None)

    def _both(self, image: ImageLike, mask: Labels) -> tuple[Tensor, Tensor]:
        """Return the image `(3, H, W)` and its labels or probabilities, checked."""
        picture = as_tensor(image).to(self.device)
        labels = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask))
        if labels.dim() not in (2, 3) or labels.shape[-2:] != picture.shape[-2:]:
            raise InputError(
                f"expected labels (H, W) or probabilities (C, H, W) of an image of "
                f"{tuple(picture.shape[-2:])}, got {tuple(labels.shape)}"
            )
        if labels.dim() == 2:
            labels = labels if labels.is_floating_point() else labels.long()
            label = labels.long()
            known = (label == IGNORE) | ((label >= 0) & (label < self.num_classes))
            bad = labels[~known | (label != labels)]  # such as a probability, which is no label
            if len(bad):
                raise InputError(
                    f"expected labels from 0 to {self.num_classes - 1}, or {IGNORE} for void, "
                    f"got {bad[0].item():.6g}; probabilities have a map for each class, (C, H, W)"
                )
            return picture, label.to(self.device)
        labels = labels.float()
        total = labels.sum(0)
        if (
            len(labels) != self.num_classes
            or not labels.min() >= 0
            or (total - 1).abs().max() > 0.01
        ):
            raise InputError(
                f"expected probabilities of {self.num_classes} classes, which sum to 1 in each "
                f"pixel, got {len(labels)} maps from {labels.min():.3g} to {labels.max():.3g}"
            )
        return picture, labels.to(self.device)

    def _size(self, picture: Tensor) -> tuple[int, int]:
        """Return height and width of the map at which an image is corrected."""
        height, width = picture.shape[-2:]
        scale = min(1.0, math.sqrt(self.pixels / (height * width)))
        return max(int(scale * height), 1), max(int(scale * width), 1)

    def _shares(self, labels: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the share of each class `(C, h, w)` in the pixels of each node."""
        maps = (labels == c if labels.dim() == 2 else labels[c] for c in range(self.num_classes))
        return torch.cat([F.interpolate(m[None, None].float(), size, mode="area")[0] for m in maps])


def _log(probability: Tensor) -> Tensor:
    return probability.clamp(min=LEAST).log()
