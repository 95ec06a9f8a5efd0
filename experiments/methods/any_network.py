"""Correct the networks of other methods: anchors at prediction, no training.

python -m experiments.methods.any_network voc_54_supervised voc_54_fixmatch --seeds 0

Takes rows of the table `methods` as far as they are trained here. Labeled images of the run fill
the memory; validation labels of the student are corrected, at the size of training. Beside them
stand the parts of correction by Bayes' rule, evidence without graphs and graphs without anchors;
logit adjustment (Menon et al., ICLR 2021, post hoc), which gives rare classes more and looks at
nothing, alone and after evidence; and the corrector over logits that say no more than the classes'
shares (*blind*), with the network's class thresholds. Adds to `any_network.csv` what it lacks.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.job import Job
from experiments.keep import extend
from experiments.scores import scores
from experiments.trained import data_of, finished, key, run_data, trained
from pyg_mllc.data import SampleSet, to_float
from pyg_mllc.nn import (
    CorrectedSegmenter,
    CorrectionMemory,
    CorrectionOutput,
    FrozenFeatures,
    LabelCorrector,
    Prediction,
    Segmenter,
)
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.resize import upsample

HERE = Path(__file__).parent
STRIDES = {"voc": (16, 32), "camvid": (8, 16)}  # of the encoder's maps
ENCODERS = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")  # frozen; they find the anchors
CORRECTORS: dict[str, dict[str, Any]] = {  # with the shares of the table's rows on VOC
    "mean": {"anchor_rule": "mean", "anchor_share": 0.3},
    "bayes": {"anchor_rule": "bayes", "anchor_share": 1.0},
    "evidence alone": {"anchor_rule": "bayes", "anchor_share": 1.0, "levels": "none", "rounds": 1},
    "graphs alone": {"anchor_rule": "bayes", "anchor_share": 0.0},
}
BLIND = ("mean", "bayes")
POWERS = (0.1, 0.2, 0.3, 0.5, 1.0)  # of the prior that logit adjustment divides by
JOINT = 0.5  # power after evidence
FIELDS = ("config", "seed", "encoder", "rule", "accuracy", "miou", "commit")


@torch.no_grad()
def gather(
    segmenter: Segmenter, encoder: str, strides: tuple[int, ...], labeled: SampleSet
) -> CorrectionMemory:
    """Return a memory of the labeled images: their anchors, and their confident pixels."""
    frozen = partial(FrozenFeatures, name=encoder, strides=strides, embedding=False)
    corrector = LabelCorrector(segmenter.num_classes)
    memory = CorrectionMemory(segmenter, corrector, frozen, anchors=4000)
    for number, sample in enumerate(labeled):
        image, label = to_float(sample["image"])[None], sample["label"][None]
        memory.update(image, segmenter(image), label, torch.tensor([number]))
    return memory


def prior(labeled: SampleSet, classes: int) -> Tensor:
    """Compute the share of each class among the labeled pixels."""
    labels = (sample["label"] for sample in labeled)
    each = [torch.bincount(label[label != IGNORE], minlength=classes) for label in labels]
    count = torch.stack(each).sum(0).clamp(min=1)  # so that its logarithm is finite
    return count / count.sum()


@torch.no_grad()
def measure(job: Job) -> Iterator[tuple[str, ...]]:
    """Yield a line for each rule: accuracy and mIoU (%) before correction and after each round."""
    segmenter, splits = trained(job, "student").segmenter, data_of(job)
    classes = splits.spec.num_classes
    labeled = run_data(job).labeled
    val = list(splits.val)
    truth = torch.stack([sample["label"] for sample in val])

    def line(encoder: str, rule: str, steps: list[list[Tensor]]) -> tuple[str, ...]:
        each = [scores(torch.cat(z).argmax(1), truth, classes) for z in zip(*steps, strict=True)]
        figures = (" ".join(f"{v:.2f}" for v in values) for values in zip(*each, strict=True))
        return *key(job), encoder, rule, *figures, job.commit

    def full(logits: Tensor) -> Tensor:
        return upsample(logits, truth.shape[-2:])

    strides = STRIDES[job.data]
    images = [to_float(sample["image"])[None] for sample in val]
    predictions = [segmenter(i) for i in images]
    log_prior = prior(labeled, classes).log().view(1, -1, 1, 1)

    def adjusted(output: CorrectionOutput, power: float) -> list[Tensor]:
        return [full(output.before.logits), full(output.logits - power * log_prior)]

    for power in POWERS:
        steps = [adjusted(CorrectionOutput(p), power) for p in predictions]
        yield line("", f"prior {power}", steps)
    for encoder in ENCODERS:
        memory = gather(segmenter, encoder, strides, labeled)
        contexts = [memory.context(i, p) for i, p in zip(images, predictions, strict=True)]
        blind = [Prediction(log_prior.expand_as(p.logits), p.features) for p in predictions]
        inputs = {name: predictions for name in CORRECTORS}
        inputs |= {f"{name}, blind": blind for name in BLIND}
        for name, seen in inputs.items():
            corrector = LabelCorrector(classes, **CORRECTORS[name.removesuffix(", blind")])
            network = CorrectedSegmenter(segmenter, corrector)
            outputs = [network.correct(*pair) for pair in zip(seen, contexts, strict=True)]
            yield line(encoder, name, [[full(p.logits) for p in output] for output in outputs])
            if name == "evidence alone":
                steps = [adjusted(output, JOINT) for output in outputs]
                yield line(encoder, f"{name}, prior {JOINT}", steps)


def main() -> None:
    """Correct the networks that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="+", help="names of rows")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    args = parser.parse_args()
    rows = [f"methods/{row}" for row in args.rows]
    jobs = [job for seed in args.seeds for job in finished(rows, seed)]
    extend(HERE / "any_network.csv", FIELDS, {key(job): partial(measure, job) for job in jobs})


if __name__ == "__main__":
    main()
