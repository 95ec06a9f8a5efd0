"""Lay the corrector over the networks of other methods: anchors at prediction, nothing trained.

python -m experiments.methods.any_network voc_54_supervised voc_54_fixmatch --seeds 0

Takes rows of the table `methods` as far as they are trained here. Labeled images of the run fill
the memory; validation labels of the student are corrected, at the size of training. Writes
`any_network.csv`, where lines of other runs stay.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from experiments.run import Job
from experiments.scores import scores
from experiments.trained import data_of, finished, other_lines, trained
from graphs import AnchorMemory, maps_to_nodes
from pyg_mllc.data import IGNORE
from pyg_mllc.losses import resize_labels, upsample
from pyg_mllc.methods import FrozenFeatures
from pyg_mllc.nn import ClassThresholds, CorrectedSegmenter, LabelCorrector, Segmenter
from pyg_mllc.writing import write_csv

HERE = Path(__file__).parent
ENCODERS = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")  # frozen; they find the anchors
RULES = {"mean": 0.3, "bayes": 1.0}  # and the share of the table's rows
FIELDS = ("config", "seed", "encoder", "rule", "accuracy", "miou", "commit")


@torch.no_grad()
def gather(
    segmenter: Segmenter, sight: FrozenFeatures, job: Job, classes: int
) -> tuple[AnchorMemory, Tensor]:
    """Anchors of the run's labeled images, and the confident pixels of each class there."""
    labeled = instantiate(OmegaConf.load(job.folder / "run.yaml").data).labeled
    memory, thresholds = AnchorMemory(classes, sight.feature_dim, 4000), ClassThresholds(classes)
    for number in range(len(labeled)):
        sample = labeled[number]
        image = sample["image"][None] / 255
        logits, features = segmenter(image)
        look = sight(image, features)
        nodes, label = maps_to_nodes(look)[0], resize_labels(sample["label"][None], look.shape[-2:])
        known = label.flatten() != IGNORE
        memory.add(nodes[known], label.flatten()[known], number)
        thresholds.update(logits)
    return memory, thresholds.counts


@torch.no_grad()
def measure(job: Job, encoder: str) -> Iterator[tuple[str, ...]]:
    """Give a line for each rule: accuracy and mIoU (%) before correction and after each round."""
    segmenter, splits = trained(job, "student").seeing.segmenter, data_of(job)
    classes = splits.spec.num_classes
    sight = FrozenFeatures(segmenter.feature_dim, encoder, strides=(16, 32), embedding=False)
    memory, counts = gather(segmenter, sight, job, classes)
    for rule, share in RULES.items():
        corrector = LabelCorrector(classes, anchor_rule=rule, anchor_share=share)  # type: ignore
        network, found, truth = CorrectedSegmenter(segmenter, corrector), [], []
        for number in range(len(splits.val)):
            sample = splits.val[number]
            image, size = sample["image"][None] / 255, sample["label"].shape
            prediction = segmenter(image)
            look = sight(image, prediction.features)
            history = network.correct(prediction, counts, anchors=memory, graph_features=look)
            found.append(torch.cat([upsample(p.logits, size) for p in history]).argmax(1))
            truth.append(sample["label"])
        labels = torch.stack(found, 1)  # (K + 1, images, H, W)
        each = [scores(label, torch.stack(truth), classes) for label in labels]
        accuracy, miou = (
            " ".join(f"{v:.2f}" for v in values) for values in zip(*each, strict=True)
        )
        commit = (job.folder / "commits").read_text()
        yield job.config, str(job.seed), encoder, rule, accuracy, miou, commit


def main() -> None:
    """Correct what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="+", help="names of rows")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    given = parser.parse_args()
    rows, path = [f"methods/{row}" for row in given.rows], HERE / "any_network.csv"
    jobs = [job for seed in given.seeds for job in finished(rows, seed)]
    lines = other_lines(path, FIELDS, jobs)
    for job in jobs:
        for encoder in ENCODERS:
            for line in measure(job, encoder):
                lines.append(line)
                print(*line, sep="  ", flush=True)
    write_csv(path, FIELDS, sorted(lines))


if __name__ == "__main__":
    main()
