"""Compare anchor rules, shares and thresholds by correcting the labels of one network.

python -m experiments.methods.shares

The teacher of the search's run of MLLC with anchors (`experiments.methods.search --data voc`), on
the training images that the search holds out. Adds to `shares.csv` what it lacks.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch

from experiments.job import Job
from experiments.keep import extend
from experiments.methods.search import ROWS, budget
from experiments.scores import of_confusion
from experiments.trained import confusions, data_of, logits_of, trained
from pyg_mllc.data import SegmentationDataset
from pyg_mllc.inference.predictor import Predictor
from pyg_mllc.nn.corrector import AnchorRule

HERE = Path(__file__).parent
OPTIONS = (*budget("voc"), "optimizer.lr=1e-4", "method.lambda_clg=1")
JOB = Job(f"{ROWS['voc']}_mllc_anchors", OPTIONS, 0, held_out=True)


class Way(NamedTuple):
    """Options of correction."""

    anchor_rule: AnchorRule = "mean"
    anchor_share: float = 0.3
    class_thresholds: bool = True  # beside tau
    tau: float = 0.95
    k: int = 20


RULES: tuple[AnchorRule, ...] = ("mean", "bayes")
SHARES = (0.0, 0.2, 0.3, 0.5, 0.7, 1.0)
PLAIN = (Way(), Way("bayes", 1.0))
WAYS = [
    *(Way(*values) for values in product(RULES, SHARES, (True, False))),
    *(
        way._replace(tau=tau, class_thresholds=used)
        for way, tau, used in product(PLAIN, (0.5, 0.8, 0.99), (True, False))
    ),
    *(way._replace(k=k) for way, k in product(PLAIN, (5, 10, 50))),
]


def measure(predictor: Predictor, val: SegmentationDataset, way: Way) -> Iterator[tuple[str, ...]]:
    """Yield accuracy and mIoU (%) of the labels, before correction and after each round."""
    memory, corrector = predictor.memory, predictor.corrector
    corrector.anchor_rule, corrector.anchor_share = way.anchor_rule, way.anchor_share
    options = replace(corrector.options, k=way.k, threshold=way.tau)
    for part in (corrector, *corrector.rounds):
        part.options = options
    known = memory.class_thresholds
    memory.class_thresholds = known if way.class_thresholds else None
    matrices = [
        confusions(logits, sample["label"])
        for sample, logits in logits_of(predictor, val, range(len(val)))
    ]
    memory.class_thresholds = known
    each = zip(*(of_confusion(m) for m in torch.stack(matrices).sum(0)), strict=True)
    yield *map(str, way), *(" ".join(f"{value:.2f}" for value in values) for values in each)


def main() -> None:
    """Measure the lines that the CSV lacks."""
    if not JOB.ended:
        raise SystemExit(
            "the network is not trained here; "
            "python -m experiments.methods.search mllc_anchors --data voc --networks trains it"
        )
    predictor, val = trained(JOB), data_of(JOB).val
    assert isinstance(val, SegmentationDataset)
    work = {tuple(map(str, way)): partial(measure, predictor, val, way) for way in WAYS}
    extend(HERE / "shares.csv", (*Way._fields, "accuracy", "miou"), work)


if __name__ == "__main__":
    main()
