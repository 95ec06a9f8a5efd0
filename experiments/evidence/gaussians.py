"""Class densities over a frozen encoder: alone, and added to networks of labels alone.

python -m experiments.evidence.gaussians voc_54 voc_27 camvid_23 camvid_46 --seeds 0 1 2

*instant* is `method=instant`: nothing is trained. *labels alone* is the row `<data>_supervised` of
the table `methods`, as far as it is trained here; its labels are corrected by the evidence alone,
and by evidence and two rounds. What is calibrated is calibrated on labeled images. At the size of
training; adds to `gaussians.csv` what it lacks.
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
from experiments.trained import splits_of, trained
from pyg_mllc.data import to_float
from pyg_mllc.data.labeled_pairs import LabeledPairs
from pyg_mllc.methods import Instant
from pyg_mllc.nn import (
    CorrectedSegmenter,
    CorrectionMemory,
    FrozenFeatures,
    GaussianEvidence,
    LabelCorrector,
    Segmenter,
)
from pyg_mllc.utils.provenance import provenance
from pyg_mllc.utils.resize import upsample

HERE = Path(__file__).parent
FROZEN = partial(FrozenFeatures, strides=(8, 16, 32), embedding=False, scale=2.0)
RULES: dict[str, dict[str, Any]] = {
    "evidence": {"levels": "none", "rounds": 1},
    "evidence, rounds": {},
}
FIELDS = ("config", "seed", "rule", "calibrated", "accuracy", "miou", "commit")


@torch.no_grad()
def measure(job: Job) -> Iterator[tuple[str, ...]]:
    """Yield a line for each rule: accuracy and mIoU (%) before the rounds and after each."""
    splits = splits_of(job.config, job.seed)
    classes = splits.spec.num_classes
    val = list(splits.val)
    truth = torch.stack([sample["label"] for sample in val])
    images = [to_float(sample["image"])[None] for sample in val]

    def line(rule: str, calibrated: str, steps: list[list[Tensor]]) -> tuple[str, ...]:
        labels = (torch.cat([upsample(z, truth.shape[-2:]) for z in column]).argmax(1)
                  for column in zip(*steps, strict=True))  # fmt: skip
        figures = zip(*(scores(label, truth, classes) for label in labels), strict=True)
        both = (" ".join(f"{v:.2f}" for v in values) for values in figures)
        commit = " ".join(provenance()["commit"])
        return job.config, str(job.seed), rule, calibrated, *both, commit

    segmenter = Segmenter(
        classes, weights="package", decoder="linear", frozen=True, scale=2.0, init="evidence"
    )
    method = Instant(segmenter, LabelCorrector(classes)).eval()
    method.prepare(splits.labeled)
    outputs = [method.student(image, method.memory) for image in images]
    yield line("instant", "", [[p.logits for p in output] for output in outputs])
    if not job.ended:
        return
    student = trained(job, "student").segmenter
    for rule, options in RULES.items():
        corrector = LabelCorrector(classes, **options)
        memory = CorrectionMemory(
            student, corrector, FROZEN, evidence=partial(GaussianEvidence, encoder=FROZEN)
        )
        assert memory.evidence is not None
        (best, *_) = memory.prepare(LabeledPairs(splits.labeled))
        corrected = CorrectedSegmenter(student, corrector)
        outputs = [corrected(image, memory) for image in images]
        told = f"shrinkage {best.shrinkage:g}, weight {float(memory.evidence.weight):.3g}"
        yield line(f"labels alone, {rule}", told, [[p.logits for p in o] for o in outputs])


def main() -> None:
    """Measure the data that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="+", help="data and number of labels, such as voc_54")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    args = parser.parse_args()
    jobs = [Job(f"methods/{row}_supervised", (), seed) for seed in args.seeds for row in args.rows]
    work = {(job.config, str(job.seed)): partial(measure, job) for job in jobs}
    extend(HERE / "gaussians.csv", FIELDS, work)


if __name__ == "__main__":
    main()
