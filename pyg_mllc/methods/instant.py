"""A network without training: class densities of labeled pixels, and graphs."""

from functools import partial

from torch import Tensor

from pyg_mllc.data.batch import Batch
from pyg_mllc.errors import InputError
from pyg_mllc.methods.base import MakeMemory, Method, without_training
from pyg_mllc.nn import CorrectionMemory, LabelCorrector, Segmenter


class Instant(Method):
    """Classify pixels by their densities over a frozen encoder, and correct them; train nothing.

    `prepare` computes the class head from the labeled images, see `start_from_evidence`; no step is
    taken. Rounds of correction follow, over graphs of the encoder's own features.

    Args:
        segmenter: with `init="evidence"`, best with the decoder `linear` and a frozen encoder.
        corrector: corrects predictions; its transforms stay the identity.
        correct: whether to correct predictions.
        memory: makes what correction needs beside the network, see `CorrectionMemory`; by default
            one that keeps nothing.

    Raises:
        InputError: if the class head of the segmenter does not start from evidence.
    """

    needs_steps = False

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        correct: bool = True,
        memory: MakeMemory | None = None,
    ) -> None:
        if segmenter.init != "evidence":
            raise InputError("method=instant trains nothing, so it needs model.init=evidence")
        memory = memory or partial(CorrectionMemory, class_thresholds="fixed")
        student, memory = without_training(segmenter, corrector, correct, memory)
        super().__init__(student, decay=0.0, memory=memory)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError("nothing is trained: call prepare")
