"""Rank ten CamVid masks, five with wrong regions, by `find_label_issues`.

MLLC_DATA=... python -m experiments.label_noise.issues

Overwrites `issues.csv`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.job import data_root
from experiments.keep import keep
from experiments.label_noise.noise import KINDS
from pyg_mllc.inference.label_issues import Region, find_label_issues
from pyg_mllc.inference.mask_corrector import MaskCorrection, MaskCorrector

HERE = Path(__file__).parent
CLASSES, VOID, IMAGES, TRUSTED, SHARE = 11, 11, 10, 10, 0.1


def read(split: str, count: int, step: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read images and masks of a split, far apart in the film, void as 255."""
    root = data_root("camvid")
    photos = sorted((root / split).iterdir())[::step][:count]
    images = [np.asarray(Image.open(path)) for path in photos]
    masks = [np.array(Image.open(root / f"{split}annot" / f"{p.stem}.png")) for p in photos]
    return images, [np.where(mask == VOID, 255, mask).astype(int) for mask in masks]


def is_wrong(region: Region, correction: MaskCorrection, truth: np.ndarray) -> bool:
    """Return whether most doubted pixels of the region's label, inside its box, are wrong."""
    box = np.s_[region.top : region.bottom, region.left : region.right]
    labels, doubt = correction.given[box].numpy(), correction.doubt[box].numpy()
    doubted = (labels == region.given) & (doubt > 0.5)
    return bool((labels != truth[box])[doubted].mean() > 0.5)


def row(truth: list, masks: list, corrections: list[MaskCorrection]) -> list[Any]:
    """Compute how many wrong masks and regions rank first, and accuracy."""
    issues = [find_label_issues(correction) for correction in corrections]
    order = sorted(range(len(corrections)), key=lambda n: -issues[n].score)
    wrong = {n for n in range(len(corrections)) if (masks[n] != truth[n]).any()}
    first = len(wrong & set(order[: len(wrong)]))
    regions = [(region, n) for n, i in enumerate(issues) for region in i.regions]
    regions.sort(key=lambda entry: -entry[0].score)
    hits = [is_wrong(region, corrections[n], truth[n]) for region, n in regions]
    known = [t != 255 for t in truth]
    total = sum(k.sum() for k in known)
    before = sum((m == t)[k].sum() for m, t, k in zip(masks, truth, known, strict=True)) / total
    after = sum(
        (c.label.numpy() == t)[k].sum() for c, t, k in zip(corrections, truth, known, strict=True)
    )
    shares = [np.mean(hits[:k]) if hits else np.nan for k in (10, 30, 100)]
    return [first, *(f"{100 * v:.1f}" for v in (*shares, before, after / total))]


WAYS = (
    ("none", "mean"),
    *(
        (anchors, rule)
        for anchors in ("the masks themselves", "10 trusted masks")
        for rule in ("mean", "bayes")
    ),
)
FIELDS = (
    "noise", "anchors", "rule", "wrong_masks_first_of_5", "top_10", "top_30", "top_100",
    "accuracy_before", "accuracy_after",
)  # fmt: skip


def measured() -> Iterator[list[Any]]:
    """Yield a line for each kind of noise, source of anchors and anchor rule."""
    images, truth = read("val", IMAGES, 9)
    trusted = read("train", TRUSTED, 36)
    for kind in ("confusions", "missing"):
        rng = np.random.default_rng(0)
        masks = [
            KINDS[kind](t, i, SHARE, rng) if n % 2 else t
            for n, (t, i) in enumerate(zip(truth, images, strict=True))
        ]
        for anchors, rule in WAYS:
            share = 0.2 if rule == "mean" else 1.0
            corrector = MaskCorrector(CLASSES, pixels=8000, anchor_rule=rule, anchor_share=share)
            if anchors == "the masks themselves":
                corrections = corrector.fit_transform(images, masks)
            else:
                corrector = corrector if anchors == "none" else corrector.fit(*trusted)
                corrections = corrector.transform(images, masks)
            yield [kind, anchors, rule, *row(truth, masks, corrections)]


def main() -> None:
    """Write `issues.csv`."""
    keep(HERE / "issues.csv", FIELDS, measured())


if __name__ == "__main__":
    main()
