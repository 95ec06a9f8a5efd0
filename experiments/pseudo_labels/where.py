"""Measure where correction fixes or breaks the teacher's labels of unlabeled images.

python -m experiments.pseudo_labels.where

Takes the runs of the table `methods` (`python -m experiments.run methods --networks`). Truth, which
training never saw, only scores. Adds to `where.csv` what it lacks: for each group of pixels its
share, how many of its labels are right before correction and after each round, what the changes
were, and how much of the weight that the loss gives to these labels lies on changed ones.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from skimage.measure import label as components
from skimage.segmentation import find_boundaries

from experiments.job import Job
from experiments.keep import extend
from experiments.scores import of_confusion
from experiments.trained import (
    MLLC_RUNS,
    confusions,
    file_of,
    finished,
    key,
    logits_of,
    unlabeled_with_truth,
)
from pyg_mllc.inference.checkpoint import load_method
from pyg_mllc.inference.predictor import Predictor
from pyg_mllc.methods.semi_supervised import SemiSupervised
from pyg_mllc.typing import IGNORE

HERE = Path(__file__).parent
CONFIGS = (*MLLC_RUNS, "methods/camvid_46_fixmatch_corrector")
IMAGES, NEAR, SMALL = 60, 3, 400  # images; pixels to a boundary; pixels of a region
FIELDS = (
    "config", "seed", "group", "share", "right", "fixed", "broken", "weight_of_changed", "commit",
)  # fmt: skip


def groups(
    truth: np.ndarray, confidence: np.ndarray, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Group the pixels `(H, W)` of one image by properties that may matter.

    Args:
        truth: `(H, W)`.
        confidence: `(2, H, W)`, before correction and after it.
        names: of the classes.
    """
    known = truth != IGNORE
    near = distance_transform_edt(~find_boundaries(truth)) < NEAR
    regions = components(truth, background=-1, connectivity=1)
    small = np.bincount(regions.ravel())[regions] < SMALL
    sure, sure_after = confidence >= 0.95
    return {
        "all": known,
        "near a boundary": known & near,
        "away from boundaries": known & ~near,
        "in small regions": known & small,
        "in large regions": known & ~small,
        "teacher sure": known & sure,
        "teacher unsure": known & ~sure,
        "teacher sure after correction": known & sure_after,
        **{name: truth == c for c, name in enumerate(names)},
    }


def count(job: Job) -> tuple[dict[str, np.ndarray], list[float]]:
    """Count the pixels of each group, see `FIELDS` from `right` on; also compute mIoU.

    All pixels come first. The weight is twofold: of changed labels, and of all.
    """
    images, places, spec = unlabeled_with_truth(job, IMAGES)
    counted: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(0))
    saved = load_method(file_of(job, "last.ckpt"))
    matrices, predictor, method = [], Predictor(saved, "teacher"), saved.method
    assert isinstance(method, SemiSupervised)
    for sample, logits in logits_of(predictor, images, places):
        truth, labels = sample["label"], logits.argmax(1)
        right = (labels == truth).numpy()  # (K + 1, H, W)
        confidence = logits[[0, -1]].softmax(1).amax(1)
        changes = [~right[0] & right[-1], right[0] & ~right[-1]]
        weight = method.weighting(logits[-1:].softmax(1), labels[-1:])[0].numpy()
        changed = (labels[0] != labels[-1]).numpy()
        for name, mask in groups(truth.numpy(), confidence.numpy(), spec.classes).items():
            counts = [mask.sum(), *((m & mask).sum() for m in (*right, *changes))]
            counts += [weight[m & mask].sum() for m in (changed, mask)]
            counted[name] = np.array(counts) + (counted[name] if len(counted[name]) else 0)
        matrices.append(confusions(logits, truth))
    return dict(counted), [of_confusion(m)[1] for m in torch.stack(matrices).sum(0)]


def measure(job: Job) -> Iterator[tuple[str, ...]]:
    """Yield a line for each group of pixels, and one for mIoU (%), before and after each round."""
    counted, miou = count(job)
    for name, counts in counted.items():
        pixels, *right, fixed, broken, changed, weight = counts
        if pixels:
            shares = [f"{100 * n / pixels:.2f}" for n in (*right, fixed, broken)]
            shares = [" ".join(shares[:-2]), *shares[-2:], f"{100 * changed / weight:.2f}"]
            yield *key(job), name, f"{100 * pixels / counted['all'][0]:.2f}", *shares, job.commit
    yield *key(job), "mIoU", "", " ".join(f"{m:.2f}" for m in miou), "", "", "", job.commit


def main() -> None:
    """Count the pixels of all networks that are here."""
    jobs = finished(CONFIGS)
    extend(HERE / "where.csv", FIELDS, {key(job): partial(measure, job) for job in jobs})


if __name__ == "__main__":
    main()
