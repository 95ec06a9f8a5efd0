"""The contract of all training methods."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphs import AnchorMemory, maps_to_nodes
from pyg_mllc.data.batch import Batch
from pyg_mllc.errors import InputError
from pyg_mllc.methods.mean_teacher import Teacher
from pyg_mllc.nn import ClassThresholds, CorrectedSegmenter, Prediction
from pyg_mllc.nn.frozen_features import FrozenFeatures
from pyg_mllc.transforms import WeakView
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.distributed import gather_rows
from pyg_mllc.utils.resize import resize_labels


class Method(nn.Module):
    """What any training loop needs to know of a method.

    Called with a `Batch`, a method returns a dict of scalars: `loss` is to be minimized, the rest
    is for the log. After each step of the optimizer, call `update()`.

    Args:
        student: holds all trained weights.
        weak: makes the weak views.
        decay: of the teacher, the student's moving average; with 0, the student as it is.
        sight: what the corrector's graphs look at, made from the size of the embedding:
            `FrozenFeatures` of another encoder; by default the embedding.
        anchors: labeled pixels kept as anchors for the corrector, in all; 0 for none. Those of an
            image are replaced each time it is seen, as features move.
        thresholds: of trust per class in the corrector: `counts`, as in MLLC; `ema`, which forgets;
            `fixed`, the same for all classes.

    Raises:
        InputError: if `thresholds` is none of these, there is not an anchor for each class, or the
            corrector's rounds have no place for anchors.
    """

    uses_unlabeled = False

    def __init__(
        self,
        student: CorrectedSegmenter,
        weak: nn.Module | None = None,
        decay: float = 0.99,
        sight: Callable[..., FrozenFeatures] | None = None,
        anchors: int = 0,
        thresholds: str = "fixed",
    ) -> None:
        check_thresholds(thresholds)
        super().__init__()
        self.student, self.teacher = student, Teacher(student, decay)
        self.weak = weak or WeakView()
        segmenter = student.segmenter
        self.sight = None if sight is None else sight(feature_dim=segmenter.feature_dim)
        self.anchors, self.thresholds = None, None
        if anchors:
            self._check_anchors(anchors)
            seen = segmenter.feature_dim if self.sight is None else self.sight.feature_dim
            self.anchors = AnchorMemory(segmenter.num_classes, seen, anchors)
        if thresholds != "fixed":
            ema, tau = (0.99 if thresholds == "ema" else None), student.corrector.threshold
            self.thresholds = ClassThresholds(segmenter.num_classes, tau, ema)

    def _check_anchors(self, anchors: int) -> None:
        classes, corrector = self.student.segmenter.num_classes, self.student.corrector
        if anchors < classes:
            raise InputError(
                f"expected method.anchors to be 0 or one for each of {classes} classes at least, "
                f"got {anchors}"
            )
        if not corrector.flows and corrector.anchor_rule == "mean":
            raise InputError(
                "method.anchors above 0 needs corrector.levels=both or semantic, where anchors are "
                "neighbors, or corrector.anchor_rule=bayes"
            )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def update(self) -> None:
        """Move the teacher towards the student; call it after each optimizer step."""
        self.teacher.update(self.student)

    def predict(self, network: CorrectedSegmenter, images: Tensor) -> list[Prediction]:
        """Predict with student or teacher: before correction, and after each round.

        Args:
            network: `student` or `teacher.network`.
            images: `(B, 3, H, W)` in [0, 1].
        """
        return self.correct(network, images, network.segmenter(images))[0]

    def correct(
        self,
        network: CorrectedSegmenter,
        images: Tensor,
        prediction: Prediction,
        index: Tensor | None = None,
        anchored: bool = True,
    ) -> tuple[list[Prediction], Tensor]:
        """Give predictions before correction and after each round, and what graphs looked at.

        Args:
            network: `student` or `teacher.network`.
            images: `(B, 3, H, W)` in [0, 1].
            prediction: of them, before correction.
            index: number of each labeled image `(B,)`, whose own anchors are hidden from it; -1 for
                others.
            anchored: whether anchors take part, if there are any.
        """
        look = self.graph_features(images, prediction)
        more: dict[str, Any] = {} if self.sight is None else {"graph_features": look}
        if anchored and self.active_anchors is not None:
            more |= {"anchors": self.active_anchors, "image": index}
        return network.correct(prediction, self.class_counts, **more), look

    def graph_features(self, images: Tensor, prediction: Prediction) -> Tensor:
        """Give what graphs look at `(B, D', h, w)`: without `sight`, the embedding."""
        features = prediction.features.detach()
        return features if self.sight is None else self.sight(images, features)

    def remember(self, images: Tensor, prediction: Prediction, label: Tensor, batch: Batch) -> None:
        """Keep what later corrections need of labeled images that are not corrected now."""
        self.count_confident(prediction, label)
        index = self.image_numbers(batch)
        if index is not None:
            self.keep_anchors(self.graph_features(images, prediction), label, index)

    def image_numbers(self, batch: Batch) -> Tensor | None:
        """The number of each labeled image of a batch `(B,)`, if there shall be anchors."""
        if self.anchors is None:
            return None
        if "index" not in batch:
            raise InputError("with anchors a batch needs index (B,), a number for each image")
        return batch["index"]

    def keep_anchors(self, look: Tensor, label: Tensor, index: Tensor | None) -> None:
        """Keep pixels of labeled images as anchors, if there shall be any.

        Args:
            look: what graphs look at `(B, D', h, w)`.
            label: of the images `(B, H, W)`.
            index: number of each image `(B,)`.
        """
        if self.anchors is None or index is None:
            return
        y = resize_labels(label, look.shape[-2:]).flatten()
        image = index.repeat_interleave(len(y) // len(label))
        known = y != IGNORE
        self.anchors.forget(gather_rows(index))  # their features have moved
        nodes = maps_to_nodes(look)[0]
        self.anchors.add(*(gather_rows(part[known]) for part in (nodes, y, image)))

    def count_confident(self, prediction: Prediction, label: Tensor) -> None:
        """Count confident pixels of each class, where `label (B, H, W)` is not void."""
        if self.thresholds is not None:
            logits = prediction.logits.detach()
            self.thresholds.update(logits, resize_labels(label, logits.shape[-2:]) != IGNORE)

    @property
    def active_anchors(self) -> AnchorMemory | None:
        """Anchors that take part in correction now: none in the warm-up."""
        waits = self.warming_up or self.anchors is None or not len(self.anchors)
        return None if waits else self.anchors

    @property
    def class_counts(self) -> Tensor | None:
        """What the class thresholds come from, see `LabelCorrector`."""
        return None if self.thresholds is None else self.thresholds.counts

    @property
    def warming_up(self) -> bool:
        """Whether unlabeled images, and anchors in correction, wait."""
        return False

    @torch.no_grad()
    def teach(self, images: Tensor) -> list[Prediction]:
        """Predict with the teacher: before correction, and after each round."""
        return self.predict(self.teacher.network, images)


def check_thresholds(thresholds: str) -> None:
    """Refuse thresholds of trust that there are not."""
    if thresholds not in ("counts", "ema", "fixed"):
        raise InputError(f"expected method.thresholds to be counts, ema or fixed, got {thresholds}")
