"""How anchors should take part, and how much they may weigh: one network's labels, corrected.

python -m experiments.methods.shares

The teacher of the search's run of MLLC with anchors (`experiments.methods.search --data voc`), on
the training images that the search holds out. Writes `shares.csv`.
"""

from itertools import product
from pathlib import Path

from experiments.methods.search import ROWS, budget
from experiments.run import Job
from experiments.trained import beliefs, confusions, data_of, trained
from pyg_mllc.measures import iou
from pyg_mllc.writing import write_csv

HERE = Path(__file__).parent
JOB = Job(
    f"{ROWS['voc']}_mllc_anchors", (*budget("voc"), "trainer.lr=1e-4", "method.lambda_clg=1"), 0
)
SHARES = (0.0, 0.2, 0.3, 0.5, 0.7, 1.0)
RULES = ("mean", "bayes")


def main() -> None:
    """Correct by each rule with each share, with and without class thresholds."""
    if not JOB.ended:
        raise SystemExit(
            "the network is not trained here; "
            "python -m experiments.methods.search mllc_anchors --data voc --networks trains it"
        )
    predictor, val = trained(JOB), data_of(JOB).val
    method, corrector = predictor.method, predictor.seeing.corrector
    known_thresholds = method.thresholds
    rows = []
    for rule, share, used in product(RULES, SHARES, (True, False)):
        corrector.anchor_rule, corrector.anchor_share = rule, share
        method.thresholds = known_thresholds if used else None
        found = sum(
            confusions(logits, sample["label"])
            for sample, logits in beliefs(predictor, val, range(len(val)))
        )
        right = [100 * float(m.diag().sum() / m.sum()) for m in found]
        miou = [100 * float(iou(m).nanmean()) for m in found]
        figures = (" ".join(f"{share:.2f}" for share in each) for each in (right, miou))
        rows.append((rule, share, "yes" if used else "no", *figures))
        print(*rows[-1], sep="  ", flush=True)
    head = ("anchor_rule", "anchor_share", "class_thresholds", "accuracy", "miou")
    write_csv(HERE / "shares.csv", head, rows)


if __name__ == "__main__":
    main()
