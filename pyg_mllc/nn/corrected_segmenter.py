"""A segmenter and the corrector of its labels, as one network."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from graphs.precision import at_least_float32
from pyg_mllc.nn.correction_memory import CorrectionMemory
from pyg_mllc.nn.corrector import LabelCorrector
from pyg_mllc.nn.prediction import CorrectionContext, CorrectionOutput, Prediction
from pyg_mllc.nn.segmenter import Segmenter
from pyg_mllc.utils.resize import joint_bilateral_upsampling, resize_map, upsample


class CorrectedSegmenter(nn.Module):
    """A segmenter whose predictions a label corrector improves round by round.

    Args:
        segmenter: predicts.
        corrector: corrects what it predicts.

    >>> import torch
    >>> network = CorrectedSegmenter(
    ...     Segmenter(4, "test_resnet", feature_dim=16), LabelCorrector(4, feature_dim=16, k=4)
    ... )
    >>> [tuple(prediction.logits.shape) for prediction in network(torch.rand(2, 3, 32, 48))]
    [(2, 4, 4, 6), (2, 4, 4, 6), (2, 4, 4, 6)]
    """

    def __init__(self, segmenter: Segmenter, corrector: LabelCorrector) -> None:
        super().__init__()
        self.segmenter, self.corrector = segmenter, corrector

    def forward(
        self,
        images: Tensor,
        memory: CorrectionMemory | None = None,
        trace: bool = False,
        evidence: Tensor | None = None,
    ) -> CorrectionOutput:
        """Predict, and correct the prediction.

        Args:
            images: `(B, 3, H, W)` in [0, 1].
            memory: what training has kept for correction; by default nothing.
            trace: see `LabelCorrector.forward`.
            evidence: of these images, if it has been computed already; see
                `CorrectionMemory.context`.

        Returns:
            Predictions before correction and after each round.
        """
        prediction = self.segmenter(images)
        context = None
        if memory is not None:
            context = memory.context(images, prediction, evidence=evidence)
        return self.correct(prediction, context, trace, images)

    def correct(
        self,
        prediction: Prediction,
        context: CorrectionContext | None = None,
        trace: bool = False,
        images: Tensor | None = None,
    ) -> CorrectionOutput:
        """Correct a prediction of the segmenter, at the size of its features.

        Finer logits keep their detail: the change is written back to them, not the correction. So
        does finer evidence, which is added to the logits at their own size.

        Args:
            prediction: of the segmenter.
            context: further inputs of correction, such as those of `CorrectionMemory.context`.
            trace: see `LabelCorrector.forward`.
            images: `(B, 3, H, W)` in [0, 1]; if the corrector is `edge_aware`, the logits after
                each round are of their size, the change following their edges.

        Returns:
            The prediction before correction and after each round.
        """
        options = (context or CorrectionContext())._asdict()
        fine, features = prediction
        evidence, size = options.pop("evidence"), features.shape[-2:]
        guide = images if self.corrector.edge_aware else None
        known = None
        if evidence is not None and len(self.corrector.rounds):
            known = resize_map(evidence, fine.shape[-2:])
        if fine.shape[-2:] == size and guide is None:
            output: CorrectionOutput = self.corrector(
                fine, features, evidence=known, trace=trace, **options
            )
            return output
        coarse, options["evidence"] = at_least_float32(fine), None
        coarse = base = F.interpolate(coarse, size, mode="area")
        if known is not None:
            options["evidence"] = F.interpolate(known, size, mode="area")
            base, fine = coarse + options["evidence"], fine + known
        output = self.corrector(coarse, features, trace=trace, **options)
        enlarge: Callable[[Tensor], Tensor] = partial(upsample, size=fine.shape[-2:])
        if guide is not None:
            enlarge = joint_bilateral_upsampling(guide, size)
            fine = upsample(at_least_float32(fine), guide.shape[-2:])
        rounds = (Prediction(fine + enlarge(p.logits - base), p.features) for p in output.rounds)
        return CorrectionOutput(prediction, tuple(rounds), output.trace)
