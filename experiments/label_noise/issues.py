"""Rank ten CamVid masks, five with wrong regions, by `find_label_issues` and by cleanlab.

pip install cleanlab
MLLC_DATA=... python -m experiments.label_noise.issues

cleanlab's score is its softmin over the same probabilities: of a whole mask, or of a region's box.
Overwrites `issues.csv`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import average_precision_score

from experiments.job import data_root
from experiments.keep import keep
from experiments.label_noise.noise import KINDS
from pyg_mllc.inference.label_issues import Region, find_label_issues
from pyg_mllc.inference.mask_corrector import MaskCorrection, MaskCorrector

HERE = Path(__file__).parent
CLASSES, VOID, IMAGES, TRUSTED, SHARE = 11, 11, 10, 10, 0.1
VOID_OUT = 255


def read(split: str, count: int, step: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read images and masks of a split, far apart in the film, void as 255."""
    root = data_root("camvid")
    photos = sorted((root / split).iterdir())[::step][:count]
    images = [np.asarray(Image.open(path)) for path in photos]
    masks = [np.array(Image.open(root / f"{split}annot" / f"{p.stem}.png")) for p in photos]
    return images, [np.where(mask == VOID, VOID_OUT, mask).astype(int) for mask in masks]


def is_wrong(region: Region, correction: MaskCorrection, truth: np.ndarray) -> bool:
    """Return whether most doubted pixels of the region's label, inside its box, are wrong."""
    box = np.s_[region.top : region.bottom, region.left : region.right]
    labels, doubt = correction.given[box].numpy(), correction.doubt[box].numpy()
    doubted = (labels == region.given) & (doubt > 0.5)
    return bool((labels != truth[box])[doubted].mean() > 0.5)


def softmin(correction: MaskCorrection, box: Any = np.s_[:, :]) -> float:
    """Return cleanlab's score of a mask, or of a box of it: how likely its labels are wrong."""
    try:
        from cleanlab.segmentation.rank import get_label_quality_scores
    except ImportError as error:
        raise SystemExit("cleanlab's scores need `pip install cleanlab`") from error
    given, doubt = correction.given[box].numpy(), correction.doubt[box].double().numpy()
    label = np.where(given == VOID_OUT, 0, given)
    suggested = np.where(given == VOID_OUT, 1, correction.suggested[box].numpy())
    probabilities = np.zeros((1, CLASSES, *label.shape))
    np.put_along_axis(probabilities, suggested[None, None], doubt[None, None], 1)
    np.put_along_axis(probabilities, label[None, None], 1 - doubt[None, None], 1)
    score, _ = get_label_quality_scores(label[None], probabilities, verbose=False, downsample=1)
    return 1 - float(score[0])


def ranking(scores: list[float], wrong: list[bool], first: tuple[int, ...]) -> list[str]:
    """Return the share of wrong ones (%) among the first, and average precision (%)."""
    order = np.argsort(scores)[::-1]
    hits = np.asarray(wrong, bool)[order]
    shares = [hits[:k].mean() if len(hits) else np.nan for k in first]
    precision = average_precision_score(wrong, scores) if any(wrong) else np.nan
    return [f"{100 * v:.1f}" for v in (*shares, precision)]


def accuracy(truth: list, labels: list) -> str:
    """Return the share of right labels (%)."""
    right = [(label == t)[t != VOID_OUT] for label, t in zip(labels, truth, strict=True)]
    return f"{100 * np.concatenate(right).mean():.1f}"


def rows(truth: list, masks: list, corrections: list[MaskCorrection]) -> Iterator[list[str]]:
    """Yield name of a score, and how well it ranks masks and regions; and accuracy."""
    issues = [find_label_issues(correction) for correction in corrections]
    regions = [(region, n) for n, found in enumerate(issues) for region in found.regions]
    wrong = [bool((mask != t).any()) for mask, t in zip(masks, truth, strict=True)]
    hits = [is_wrong(region, corrections[n], truth[n]) for region, n in regions]
    scores = {
        "ours": ([found.score for found in issues], [region.score for region, _ in regions]),
        "softmin": (
            [softmin(correction) for correction in corrections],
            [
                softmin(corrections[n], np.s_[r.top : r.bottom, r.left : r.right])
                for r, n in regions
            ],
        ),
    }
    before = accuracy(truth, masks)
    after = accuracy(truth, [correction.label.numpy() for correction in corrections])
    for name, (of_masks, of_regions) in scores.items():
        of_masks_ranked = ranking(of_masks, wrong, (sum(wrong),))
        yield [name, *of_masks_ranked, *ranking(of_regions, hits, (10, 50, 100)), before, after]


WAYS = (
    ("none", "mean"),
    *(
        (anchors, rule)
        for anchors in ("the masks themselves", "10 trusted masks")
        for rule in ("mean", "bayes", "gaussians")
    ),
)
FIELDS = (
    "noise", "anchors", "rule", "score", "masks_first_5", "masks_average_precision",
    "regions_first_10", "regions_first_50", "regions_first_100", "regions_average_precision",
    "accuracy_before", "accuracy_after",
)  # fmt: skip
SHARES = {"mean": 0.2, "bayes": 1.0}  # weights of anchors


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
            share = SHARES.get(rule)
            corrector = MaskCorrector(CLASSES, pixels=8000, anchor_rule=rule, anchor_share=share)
            if anchors == "the masks themselves":
                corrections = corrector.fit_transform(images, masks)
            else:
                corrector = corrector if anchors == "none" else corrector.fit(*trusted)
                corrections = corrector.transform(images, masks)
            for line in rows(truth, masks, corrections):
                yield [kind, anchors, rule, *line]


def main() -> None:
    """Write `issues.csv`."""
    keep(HERE / "issues.csv", FIELDS, measured())


if __name__ == "__main__":
    main()
