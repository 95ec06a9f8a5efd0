"""A network without training: class densities of labeled pixels, and graphs."""

import logging
from functools import partial

import torch
from torch import Tensor

from graphs import ClassGaussians, maps_to_nodes, nodes_to_maps
from pyg_mllc.data.batch import Batch, to_float
from pyg_mllc.data.labeled_pairs import LabeledPairs
from pyg_mllc.errors import InputError
from pyg_mllc.methods.base import MakeMemory, Method, without_training
from pyg_mllc.metrics.segmentation import SegmentationMetrics
from pyg_mllc.nn import CorrectionMemory, LabelCorrector, Segmenter
from pyg_mllc.utils.resize import upsample

log = logging.getLogger(__name__)


class Instant(Method):
    """Classify pixels by their densities over a frozen encoder, and correct them; train nothing.

    `prepare` computes the class head from the labeled images, see `start_from_evidence`; no step is
    taken. Rounds of correction follow, over graphs of the encoder's own features. Whether they help
    is measured on labeled images, each by the others, and logged.

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

    def _start_head(self, pairs: LabeledPairs) -> tuple[float, ClassGaussians]:
        temperature, gaussians = super()._start_head(pairs)
        several = len(gaussians.images) > 1
        if len(self.student.corrector.rounds) and several and self.memory.evidence is None:
            was_training, _ = self.training, self.eval()
            miou = self._measure_rounds(gaussians, temperature, pairs)
            path = " -> ".join(f"{100 * value:.1f}%" for value in miou)
            advice = "" if miou[-1] > miou[0] else "; rounds do not help: leave out correct=true"
            log.info(f"correction, whole labeled images by the other images: mIoU {path}{advice}")
            self.train(was_training)
        return temperature, gaussians

    @torch.no_grad()
    def _measure_rounds(
        self, gaussians: ClassGaussians, temperature: float, pairs: LabeledPairs
    ) -> list[float]:
        """Return the mIoU of labeled images, each by the others, before and after each round."""
        network, classes = self.student, gaussians.num_classes
        device = network.segmenter.mean.device
        steps = [SegmentationMetrics(classes) for _ in range(1 + len(network.corrector.rounds))]
        for number in gaussians.images:
            sample = pairs.samples[number]
            images, label = to_float(sample["image"])[None].to(device), sample["label"]
            maps = network.segmenter.stage_map(images)
            x = maps_to_nodes(maps)[0]
            e = gaussians.evidence(x, torch.full((len(x),), number, device=x.device))
            logits = temperature * (e + gaussians.log_prior.to(e))
            prediction = network.segmenter(images)._replace(
                logits=nodes_to_maps(logits, *maps.shape[-2:])
            )
            context = self.memory.context(images, prediction)
            for metric, step in zip(
                steps, network.correct(prediction, context, images=images), strict=True
            ):
                metric.update(upsample(step.logits, label.shape).cpu(), label[None])
        return [float(metric.compute()["miou"]) for metric in steps]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError("nothing is trained: call prepare")
