"""How anchors should take part, and how much they may weigh: one network's labels, corrected.

python -m experiments.methods.shares

The teacher of the search's run of MLLC with anchors (`experiments.methods.search --data voc`), on
the training images that the search holds out. Writes `shares.csv`.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from experiments.job import Job
from experiments.keep import keep
from experiments.methods.search import ROWS, budget
from experiments.scores import of_confusion
from experiments.trained import beliefs, confusions, data_of, trained

HERE = Path(__file__).parent
OPTIONS = (*budget("voc"), "trainer.lr=1e-4", "method.lambda_clg=1")
JOB = Job(f"{ROWS['voc']}_mllc_anchors", OPTIONS, 0, held_out=True)
SHARES = (0.0, 0.2, 0.3, 0.5, 0.7, 1.0)
RULES = ("mean", "bayes")


def measure() -> Iterator[tuple[str, ...]]:
    """Correct by each rule with each share, with and without class thresholds."""
    predictor, val = trained(JOB), data_of(JOB).val
    method, corrector = predictor.method, predictor.seeing.corrector
    known_thresholds = method.thresholds
    for rule, share, used in product(RULES, SHARES, (True, False)):
        corrector.anchor_rule, corrector.anchor_share = rule, share
        method.thresholds = known_thresholds if used else None
        found = sum(
            confusions(logits, sample["label"])
            for sample, logits in beliefs(predictor, val, range(len(val)))
        )
        each = zip(*(of_confusion(m) for m in found), strict=True)
        figures = (" ".join(f"{value:.2f}" for value in values) for values in each)
        yield rule, str(share), "yes" if used else "no", *figures


def main() -> None:
    """Measure and keep."""
    if not JOB.ended:
        raise SystemExit(
            "the network is not trained here; "
            "python -m experiments.methods.search mllc_anchors --data voc --networks trains it"
        )
    head = ("anchor_rule", "anchor_share", "class_thresholds", "accuracy", "miou")
    keep(HERE / "shares.csv", head, measure())


if __name__ == "__main__":
    main()
