"""State of correction beside the network: anchors, class counts, a frozen encoder."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from graphs import AnchorMemory, maps_to_nodes
from pyg_mllc.errors import InputError
from pyg_mllc.nn.class_thresholds import ClassThresholds
from pyg_mllc.nn.corrector import LabelCorrector
from pyg_mllc.nn.evidence import GaussianEvidence, LabeledImages
from pyg_mllc.nn.evidence_calibration import Calibration
from pyg_mllc.nn.frozen_features import FrozenFeatures
from pyg_mllc.nn.prediction import CorrectionContext, Prediction
from pyg_mllc.nn.segmenter import Segmenter
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.distributed import gather_rows
from pyg_mllc.utils.resize import resize_labels

EMA_DECAY = 0.99  # of the counts with `class_thresholds="ema"`


class CorrectionMemory(nn.Module):
    """Anchors, class counts and a frozen encoder: the state that training keeps for correction.

    The state is in `state_dict`. Student and teacher share one memory.

    Args:
        segmenter: whose predictions are corrected.
        corrector: corrects them.
        encoder: makes the frozen encoder whose features build graphs and find anchors, called with
            the size of the embedding as `feature_dim`, such as `FrozenFeatures`; by default, the
            embedding itself takes this part.
        anchors: labeled pixels kept as anchors, in all classes together; 0 for none. Those of an
            image are replaced each time it is seen, as features move.
        evidence: makes class densities of all labeled images, which are added to the logits before
            the first round, called with `num_classes`, such as `GaussianEvidence`; by default none.
        class_thresholds: confidence that a class needs: `counts`, less for rarely predicted
            classes, as in MLLC; `ema`, by a moving average of counts; `fixed`, the same for all.

    Attributes:
        active: whether anchors and evidence take part in correction; a method's warm-up sets it to
            false.

    Raises:
        InputError: if `class_thresholds` is none of these, there is not an anchor for each class,
            or the corrector's rounds have no place for anchors, or there are none for evidence.

    >>> segmenter, corrector = Segmenter(4, "test_resnet", feature_dim=16), LabelCorrector(4, k=4)
    >>> memory = CorrectionMemory(segmenter, corrector, anchors=100)
    >>> images, label = torch.rand(2, 3, 32, 48), torch.randint(4, (2, 32, 48))
    >>> prediction = segmenter(images)
    >>> memory.update(images, prediction, label, index=torch.tensor([0, 1]))
    >>> output = corrector(*prediction, **memory.context(images, prediction)._asdict())
    """

    active: Tensor

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector,
        encoder: Callable[..., FrozenFeatures] | None = None,
        anchors: int = 0,
        evidence: Callable[..., GaussianEvidence] | None = None,
        class_thresholds: str = "counts",
    ) -> None:
        super().__init__()
        if class_thresholds not in ("counts", "ema", "fixed"):
            raise InputError(
                "expected method.memory.class_thresholds to be counts, ema or fixed, "
                f"got {class_thresholds}"
            )
        classes, dim = segmenter.num_classes, segmenter.feature_dim
        self.encoder = None if encoder is None else encoder(feature_dim=dim)
        self.anchors, self.class_thresholds = None, None
        self.evidence = None if evidence is None else evidence(num_classes=classes)
        if self.evidence is not None and not len(corrector.rounds):
            raise InputError(
                "method.memory.evidence is added before the first round, so it needs a corrector "
                "with rounds and method.correct=true; corrector.levels=none adds evidence alone"
            )
        if anchors:
            dim = dim if self.encoder is None else self.encoder.feature_dim
            self.anchors = _anchors(corrector, classes, dim, anchors)
        if class_thresholds != "fixed":
            decay = EMA_DECAY if class_thresholds == "ema" else None
            threshold = corrector.options.threshold
            self.class_thresholds = ClassThresholds(classes, threshold, decay)
        self.register_buffer("active", torch.tensor(True))

    @property
    def active_anchors(self) -> AnchorMemory | None:
        """Anchors that take part in correction; None if there are none yet."""
        if self.anchors is None or not self.active or not len(self.anchors):
            return None
        return self.anchors

    @property
    def class_counts(self) -> Tensor | None:
        """Confident pixels seen of each class `(C,)`; None if all have the same threshold."""
        return None if self.class_thresholds is None else self.class_thresholds.counts

    def prepare(self, labeled: LabeledImages) -> list[Calibration]:
        """Compute what does not change in training: the evidence of the labeled images.

        Args:
            labeled: images with labels.

        Returns:
            See `calibrate`; empty without evidence.

        Raises:
            ValueError: if there are no labeled pixels, or the covariance is singular.
        """
        return [] if self.evidence is None else self.evidence.prepare(labeled)

    def context(
        self,
        images: Tensor,
        prediction: Prediction,
        index: Tensor | None = None,
        evidence: Tensor | None = None,
        use_evidence: bool = True,
    ) -> CorrectionContext:
        """Return the inputs of correction beside the prediction.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            prediction: of these images, before correction.
            index: number of each labeled image `(B,)`, whose own anchors are hidden from it; -1 for
                other images; or the number of each pixel's image `(B, H, W)`. By default, no
                anchors are hidden.
            evidence: of these images `(B, C, h', w')`, if it has been computed already.
            use_evidence: whether evidence is asked for. The student's rounds in training go
                without, since it is made of the labels of labeled images.

        Returns:
            Class counts, anchors, image numbers, graph features and evidence; None for each that is
            not used.
        """
        anchors = self.active_anchors
        features = None if self.encoder is None else self.graph_features(images, prediction)
        if evidence is None and self.has_evidence and use_evidence:
            evidence = self.evidence_of(images)
        if index is not None and index.dim() == 3:
            index = resize_labels(index, prediction.logits.shape[-2:]).flatten()
        return CorrectionContext(
            self.class_counts, anchors, None if anchors is None else index, features, evidence
        )

    @property
    def has_evidence(self) -> bool:
        """True if there is evidence that takes part in correction."""
        return self.evidence is not None and bool(self.active) and self.evidence.is_ready

    def evidence_of(self, images: Tensor, index: Tensor | None = None) -> Tensor:
        """Compute the evidence of images, see `GaussianEvidence`.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            index: number of each image `(B,)` if these are the same images each time; their
                evidence is then computed once and kept.

        Returns:
            `(B, C, h, w)`.

        Raises:
            InputError: if there is none.
        """
        if self.evidence is None:
            raise InputError("this memory has no evidence: pass method.memory.evidence")
        maps: Tensor = (
            self.evidence(images) if index is None else self.evidence.of_images(images, index)
        )
        return maps

    def graph_features(self, images: Tensor, prediction: Prediction) -> Tensor:
        """Compute the features that graphs are built from.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            prediction: of these images.

        Returns:
            `(B, D', h, w)`.
        """
        embedding = prediction.features.detach()
        if self.encoder is None:
            return embedding
        maps: Tensor = self.encoder(images, embedding.shape[-2:], embedding)
        return maps

    @torch.no_grad()
    def update(
        self,
        images: Tensor,
        prediction: Prediction,
        label: Tensor,
        index: Tensor | None = None,
        graph_features: Tensor | None = None,
    ) -> None:
        """Update anchors and class counts with labeled images; every process calls it.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            prediction: of these images, before correction.
            label: of these images `(B, H, W)`.
            index: number of each image `(B,)`; needed for anchors.
            graph_features: of these images, if `context` has computed them already.

        Raises:
            InputError: if anchors are kept, and images have no numbers.
        """
        self.count(prediction, label)
        if self.anchors is None:
            return
        if index is None:
            raise InputError("with anchors a batch needs index (B,), a number for each image")
        maps = self.graph_features(images, prediction) if graph_features is None else graph_features
        y = resize_labels(label, maps.shape[-2:]).flatten()
        image = index.repeat_interleave(len(y) // len(label))
        known = y != IGNORE
        self.anchors.forget(gather_rows(index))  # their features have moved
        nodes = maps_to_nodes(maps)[0]
        self.anchors.add(*(gather_rows(part[known]) for part in (nodes, y, image)))

    def count(self, prediction: Prediction, label: Tensor) -> None:
        """Count the confident pixels of each class; every process calls it.

        Args:
            prediction: of images.
            label: of these images `(B, H, W)`; void pixels do not count.
        """
        if self.class_thresholds is not None:
            logits = prediction.logits.detach()
            self.class_thresholds.update(logits, resize_labels(label, logits.shape[-2:]) != IGNORE)


def _anchors(corrector: LabelCorrector, classes: int, dim: int, budget: int) -> AnchorMemory:
    if budget < classes:
        raise InputError(
            f"expected method.memory.anchors to be 0 or one for each of {classes} classes at "
            f"least, got {budget}"
        )
    anchors = AnchorMemory(classes, dim, budget)
    try:
        corrector.check_anchors(anchors)
    except ValueError as error:
        raise InputError(f"method.memory.anchors={budget} cannot be used: {error}") from error
    return anchors
