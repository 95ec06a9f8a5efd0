"""How much anchors may weigh: one network's labels, corrected with different shares.

python -m experiments.methods.shares

The teacher of the search's run of MLLC with anchors (`experiments.methods.search --data voc`), on
the training images that the search holds out. Writes `shares.csv`.
"""

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torchmetrics.functional.classification import multiclass_confusion_matrix

import pyg_mllc
from experiments.methods.search import ROWS, budget
from experiments.run import Job
from pyg_mllc.data import IGNORE
from pyg_mllc.losses import upsample
from pyg_mllc.measures import iou
from pyg_mllc.writing import write_csv

HERE = Path(__file__).parent
JOB = Job(f"{ROWS['voc']}_mllc_anchors", (*budget("voc"), "trainer.lr=1e-4"), 0)
SHARES = (0.0, 0.2, 0.3, 0.5, 0.7, 1.0)


def main() -> None:
    """Correct with each share, with and without class thresholds."""
    [checkpoint] = JOB.folder.glob("*/last.ckpt")
    predictor = pyg_mllc.load(checkpoint, network="teacher")
    method, corrector = predictor.method, predictor.seeing.corrector
    splits = instantiate(OmegaConf.load(JOB.folder / "run.yaml").data)
    classes, known_thresholds = splits.spec.num_classes, method.thresholds
    rows = []
    for share in SHARES:
        for used in (True, False):
            corrector.anchor_share = share
            method.thresholds = known_thresholds if used else None
            found = [0] * (len(corrector.rounds) + 1)  # confusion matrices
            for i in range(len(splits.val)):
                sample = splits.val[i]
                with torch.no_grad():
                    history = method.predict(predictor.seeing, sample["image"][None] / 255)
                for r, prediction in enumerate(history):
                    label = upsample(prediction.logits.float(), sample["label"].shape).argmax(1)[0]
                    pair = label, sample["label"]
                    found[r] += multiclass_confusion_matrix(*pair, classes, ignore_index=IGNORE)
            right = [100 * float(m.diag().sum() / m.sum()) for m in found]
            miou = [100 * float(iou(m).nanmean()) for m in found]
            figures = (" ".join(f"{share:.2f}" for share in each) for each in (right, miou))
            rows.append((share, "yes" if used else "no", *figures))
            print(*rows[-1], sep="  ", flush=True)
    write_csv(HERE / "shares.csv", ("anchor_share", "class_thresholds", "accuracy", "miou"), rows)


if __name__ == "__main__":
    main()
