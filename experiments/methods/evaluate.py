"""Measure trained students as users run them: at full image size, and corrected.

python -m experiments.methods.evaluate voc_54 --seeds 0 1 2
python -m experiments.methods.evaluate voc_54 --over voc_54_supervised    # prints what there is

Takes the rows of the table `methods` that are called so, or hold such a word, as far as they are
trained here, on the validation split; as `mllc evaluate` does. Adds to `evaluate.csv` what that
lacks. With `--over` it measures nothing, and prints seed by seed what each gains.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from torch import Tensor

from experiments.job import Job, lines_of, named, rows
from experiments.keep import extend
from experiments.table import CORRECTED, over
from experiments.trained import data_of, finished, key, trained
from pyg_mllc.data import OriginalSizeDataset, SegmentationDataset
from pyg_mllc.evaluation.evaluate import evaluate
from pyg_mllc.utils.resize import upsample

HERE = Path(__file__).parent
FIELDS = ("config", "seed", "student", "corrected", "commit")


def measure(job: Job) -> Iterator[tuple[str, ...]]:
    """Yield the line of a run: mIoU (%) of its student before and after correction."""
    predictor, val = trained(job, "student"), data_of(job).val
    assert isinstance(val, SegmentationDataset)

    def predict(images: Tensor) -> list[Tensor]:
        both = predictor.logits(images, correct=True)
        return [upsample(logits, images.shape[-2:]).softmax(1) for logits in both]

    stages = evaluate(predict, OriginalSizeDataset(val), gallery=1).stages.values()
    student, corrected = (f"{100 * m['miou']:.2f}" for m in stages)
    yield *key(job), student, corrected, job.commit


def figures(words: list[str]) -> dict[str, dict[str, float]]:
    """Return mIoU of the student by row and seed, and with `correct=true` where it differs."""
    values: dict[str, dict[str, float]] = defaultdict(dict)
    lines = lines_of(HERE / "evaluate.csv")
    chosen = named({line["config"].split("/")[1] for line in lines}, words)
    for line in lines:
        name = line["config"].split("/")[1]
        if name in chosen:
            values[name][line["seed"]] = float(line["student"])
            if line["corrected"] != line["student"]:
                values[f"{name}{CORRECTED[1]}"][line["seed"]] = float(line["corrected"])
    return values


def main() -> None:
    """Measure the networks that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="+", help="rows, or words of their names")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--over", nargs="+", help="rows that gains are counted from")
    args = parser.parse_args()
    if args.over:
        print(*over(figures(args.rows), args.over), sep="\n")
        return
    chosen = rows("methods", args.rows)
    jobs = [job for seed in args.seeds for job in finished(chosen, seed)]
    extend(HERE / "evaluate.csv", FIELDS, {key(job): partial(measure, job) for job in jobs})


if __name__ == "__main__":
    main()
