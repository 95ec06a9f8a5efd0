"""Base class of all training methods."""

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from graphs import ClassGaussians
from pyg_mllc.data.base import SampleSet
from pyg_mllc.data.batch import Batch
from pyg_mllc.data.label_statistics import count_class_pixels
from pyg_mllc.data.labeled_pairs import LabeledPairs
from pyg_mllc.errors import InputError
from pyg_mllc.losses import SupervisedLoss
from pyg_mllc.methods.mean_teacher import Teacher
from pyg_mllc.methods.rare_paste import RarePaste
from pyg_mllc.nn import (
    CorrectedSegmenter,
    CorrectionMemory,
    CorrectionOutput,
    FrozenFeatures,
    GraphLayer,
    LabelCorrector,
    Segmenter,
    calibration_table,
    start_from_evidence,
)
from pyg_mllc.transforms import WeakView
from pyg_mllc.typing import IGNORE

log = logging.getLogger(__name__)

MakeMemory = Callable[[Segmenter, LabelCorrector], CorrectionMemory]
"""Makes a memory, such as `functools.partial(CorrectionMemory, anchors=4000)`."""

MakeLoss = Callable[[int], SupervisedLoss]
"""Makes the loss for a number of classes, such as `partial(SupervisedLoss, logit_adjustment=1)`."""


class LabeledViews(NamedTuple):
    """Weak views of labeled images, with what is pasted into them."""

    image: Tensor  # (B, 3, H, W)
    label: Tensor  # (B, H, W)
    own_label: Tensor  # (B, H, W), IGNORE where pixels of another image are pasted
    number: Tensor | None  # of each image (B,), or with pastes of each pixel's (B, H, W)


class Method(nn.Module):
    """Base class of training methods: what a training loop needs.

    Called with a `Batch`, a method returns a dict of scalars: `loss` is to be minimized, the rest
    is for the log. Before the first step, call `prepare`; after each step of the optimizer, call
    `update()`.

    To predict, `student` (or `teacher.network`) and `memory` suffice: `student(images, memory)`.

    Args:
        student: holds all trained weights.
        weak: makes the weak views.
        decay: of the teacher, the student's moving average; with 0, the student as it is.
        memory: makes what correction needs beside the network, see `CorrectionMemory`.
        supervised_loss: makes the loss of labeled pixels, see `SupervisedLoss`.
        rare_paste: probability that a labeled image receives a rare class of another one, see
            `RarePaste`; 0 for none.

    Raises:
        InputError: if `decay` or `rare_paste` is out of range, or as `CorrectionMemory` and
            `SupervisedLoss`.
    """

    uses_unlabeled = False
    trains_embedding = False
    """Whether the embedding learns, so that graphs can be built from it."""
    needs_steps = True
    """Whether there is anything to train by gradients; if not, `prepare` does all."""

    def __init__(
        self,
        student: CorrectedSegmenter,
        weak: nn.Module | None = None,
        decay: float = 0.99,
        memory: MakeMemory = CorrectionMemory,
        supervised_loss: MakeLoss = SupervisedLoss,
        rare_paste: float = 0.0,
    ) -> None:
        super().__init__()
        self.student, self.teacher = student, Teacher(student, decay)
        self.weak = weak or WeakView()
        self.memory = memory(student.segmenter, student.corrector)
        self.supervised_loss = supervised_loss(student.segmenter.num_classes)
        self.rare_paste = (
            RarePaste(student.segmenter.num_classes, rare_paste) if rare_paste else None
        )

    def prepare(self, labeled: SampleSet, progress: bool = False) -> None:
        """Compute from the labeled images what the first step needs; call it once before.

        That are the class counts of the loss and of pastes, the class head with
        `model.init=evidence`, see `start_from_evidence`, and the evidence that the memory keeps. A
        run that is resumed has all of it in its state.

        Args:
            labeled: labeled samples of the training; every process passes all of them.
            progress: whether to show a progress bar.

        Raises:
            InputError: if a sample cannot be read, if evidence cannot be computed, such as without
                labeled pixels, or as `SupervisedLoss.set_class_counts`.
        """
        segmenter, pairs = self.student.segmenter, LabeledPairs(labeled, progress)
        if self.supervised_loss.needs_class_counts or self.rare_paste is not None:
            counts = torch.from_numpy(count_class_pixels(labeled, segmenter.num_classes).sum(0))
            self.supervised_loss.set_class_counts(counts)
            if self.rare_paste is not None:
                self.rare_paste.class_counts.copy_(counts)
        name = "model.init=evidence"
        try:
            if getattr(segmenter, "init", None) == "evidence":
                self._start_head(pairs)
                self.teacher.network.load_state_dict(self.student.state_dict())
            name = "method.memory.evidence"
            if self.memory.evidence is not None:
                log.info(calibration_table(self.memory.prepare(pairs)))
        except ValueError as error:
            raise InputError(f"{name}: {error}") from error

    def _start_head(self, pairs: LabeledPairs) -> tuple[float, ClassGaussians]:
        """Start the class head from evidence; return its temperature and the densities."""
        tried, gaussians = start_from_evidence(self.student.segmenter, pairs)
        log.info(calibration_table(tried))
        return tried[0].temperature, gaussians

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def labeled_views(self, batch: Batch) -> LabeledViews:
        """Make weak views of the labeled images, and paste rare classes into them if wanted.

        Args:
            batch: with labeled images.

        Returns:
            The views. What is kept beyond the step, such as anchors and counts, rests on the
            pixels of `own_label` alone.

        Raises:
            InputError: as `RarePaste.forward`.
        """
        (image, label), index = self.weak(batch["image"], batch["label"]), batch.get("index")
        if self.rare_paste is None:
            return LabeledViews(image, label, label, index)
        image, label, source = self.rare_paste(image, label, index)
        is_own = source == torch.arange(len(source), device=source.device)[:, None, None]
        number = None if index is None else index[source]
        return LabeledViews(image, label, torch.where(is_own, label, IGNORE), number)

    def update(self) -> None:
        """Move the teacher towards the student; call it after each optimizer step."""
        self.teacher.update(self.student)

    @torch.no_grad()
    def predict_teacher(self, images: Tensor, evidence: Tensor | None = None) -> CorrectionOutput:
        """Predict images with the teacher.

        Args:
            images: in [0, 1].
            evidence: of these images, if it has been computed already.

        Returns:
            Predictions before correction and after each round.
        """
        output: CorrectionOutput = self.teacher.network(images, self.memory, evidence=evidence)
        return output


def without_training(
    segmenter: Segmenter,
    corrector: LabelCorrector | None,
    correct: bool,
    memory: MakeMemory | None,
) -> tuple[CorrectedSegmenter, MakeMemory]:
    """Return a student whose corrector is not trained, and the factory of its memory.

    Args:
        segmenter: the network to train.
        corrector: corrects its labels if `correct`.
        correct: whether to correct at all; if not, the memory keeps nothing.
        memory: see `Method`; by default that of a frozen encoder's stages, since nothing trains the
            embedding here.

    Returns:
        The student, and what makes the memory beside it.

    Raises:
        InputError: if labels are to be corrected without a corrector, or by one whose layers need
            training.
    """
    if not correct or (corrector is not None and not len(corrector.rounds)):
        none = LabelCorrector(segmenter.num_classes, rounds=0)
        return CorrectedSegmenter(segmenter, none), _empty_memory
    if corrector is None:
        raise InputError("method.correct=true needs a corrector")
    layers = [module for module in corrector.modules() if isinstance(module, GraphLayer)]
    if any(list(layer.parameters()) for layer in layers):
        raise InputError(
            "method.correct=true does not train the corrector, whose layers start at random; "
            "take corrector.conv=affinity and corrector.feature_conv=affinity, or method=mllc"
        )
    student = CorrectedSegmenter(segmenter, corrector.requires_grad_(False))
    return student, memory or _frozen_memory


def _empty_memory(segmenter: Segmenter, corrector: LabelCorrector) -> CorrectionMemory:
    return CorrectionMemory(segmenter, corrector, class_thresholds="fixed")


def _frozen_memory(segmenter: Segmenter, corrector: LabelCorrector) -> CorrectionMemory:
    return CorrectionMemory(segmenter, corrector, partial(FrozenFeatures, embedding=False))
