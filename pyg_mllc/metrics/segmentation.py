"""Metrics of semantic segmentation, as one metric of torchmetrics."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_confusion_matrix

from pyg_mllc.metrics.boundary import boundary_counts, boundary_f
from pyg_mllc.metrics.calibration import BINS, calibration_error, reliability
from pyg_mllc.typing import IGNORE, Scores


def iou(confusion: Tensor) -> Tensor:
    """Compute the IoU of each class.

    Args:
        confusion: Number of pixels of each true class (row) by predicted class, `(C, C)`.

    Returns:
        IoU `(C,)` in [0, 1]; NaN for classes that are in neither.

    >>> import torch
    >>> iou(torch.tensor([[3, 1, 0], [1, 3, 0], [0, 0, 0]]))
    tensor([0.6000, 0.6000,    nan])
    """
    confusion = confusion.cpu().double()
    hit = confusion.diag()
    return (hit / (confusion.sum(0) + confusion.sum(1) - hit)).float()


class SegmentationMetrics(Metric):
    """Count the pixels of each class, right and wrong, over all images and all processes.

    Every score comes from exact counts, so it does not depend on how images are batched.

    Args:
        num_classes: C.
        boundary: whether to compute the boundary F-score, which takes most of the time.
        calibration: whether to compute the expected calibration error.
        **options: of `torchmetrics.Metric`, such as `sync_on_compute`.

    >>> metric = SegmentationMetrics(num_classes=2)
    >>> probabilities = torch.tensor([[[[0.9, 0.2, 0.4]], [[0.1, 0.8, 0.6]]]])
    >>> metric.update(probabilities, torch.tensor([[[0, 1, 0]]]))
    >>> metric.compute()["accuracy"]
    tensor(0.6667)
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    confusion: Tensor
    reliability: Tensor
    boundary: Tensor

    def __init__(
        self,
        num_classes: int,
        boundary: bool = False,
        calibration: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.num_classes = num_classes
        self.counts_boundary, self.counts_confidence = boundary, calibration
        counts = {"confusion": torch.zeros(num_classes, num_classes, dtype=torch.long)}
        if calibration:
            counts["reliability"] = torch.zeros(BINS, 3, dtype=torch.double)
        if boundary:
            counts["boundary"] = torch.zeros(num_classes, 4, dtype=torch.long)
        for name, zeros in counts.items():
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Add images.

        Args:
            probabilities: `(B, C, H, W)`; logits do, too, without calibration.
            target: class numbers `(B, H, W)`, IGNORE where void.
        """
        confidence, label = probabilities.max(1)
        self.confusion += multiclass_confusion_matrix(
            label, target, self.num_classes, ignore_index=IGNORE
        )
        if self.counts_confidence:
            known = target != IGNORE
            self.reliability += reliability(confidence[known], (label == target)[known])
        if self.counts_boundary:
            for guess, truth in zip(label, target, strict=True):
                counts = boundary_counts(guess, truth, self.num_classes)
                self.boundary += counts.to(self.boundary.device)

    def compute(self) -> Scores:
        """Compute the scores of all images so far; shares lie in [0, 1].

        Returns:
            - `confusion`: `(C, C)`, pixels of each true class (row) and predicted class (column)
            - `class_iou`: `(C,)`; NaN for classes that neither truth nor prediction has
            - `miou`: mean of the above over the classes present
            - `accuracy`: share of the pixels that are right; NaN if all are void
            - `class_boundary_f`, `boundary_f`: the same for the boundary F-score, if asked for
            - `reliability`: `(bins, 3)`, see `reliability`, and `calibration_error`, if asked for
        """
        class_iou = iou(self.confusion)
        scores = {
            "confusion": self.confusion.clone(),
            "class_iou": class_iou,
            "miou": class_iou.nanmean(),
            "accuracy": self.confusion.diag().sum() / self.confusion.sum(),
        }
        if self.counts_boundary:
            class_f = boundary_f(self.boundary)
            scores |= {"class_boundary_f": class_f, "boundary_f": class_f.nanmean()}
        if self.counts_confidence:
            scores |= {
                "reliability": self.reliability.clone(),
                "calibration_error": calibration_error(self.reliability),
            }
        return scores
