"""Draw the quality of the teacher's labels over training (the paper's Figure 4).

python -m experiments.run pseudo_labels --seeds 0 --networks
python -m experiments.pseudo_labels.curves

Adds to `curves.csv` what it lacks of the runs that are here: accuracy and mIoU before correction
and after each round, at each validation. Draws all of it, `curves.png`.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from experiments.job import Job, rows
from experiments.keep import extend
from experiments.trained import file_of, finished
from pyg_mllc.evaluation.results import TrainingResult

HERE = Path(__file__).parent
FIELDS = ("config", "measure", "round", "step", "percent")
MEASURES = {"label_accuracy": "accuracy (%)", "label_miou": "mIoU (%)"}
TITLES = {  # as the table of the text has them; the first is what the others are compared with
    "pseudo_labels/voc_fixmatch": "FixMatch: self-training",
    "pseudo_labels/voc_fixmatch_corrector": "FixMatch, corrector without training",
    "pseudo_labels/voc_mllc": "MLLC",
    "pseudo_labels/voc_mllc_anchors": "MLLC, anchors",
}


def curves(job: Job) -> Iterator[tuple[str, ...]]:
    """Yield a line for each metric, round and validation of a run."""
    validations = [
        row for row in TrainingResult.load(file_of(job, "result.json")).history if "miou" in row
    ]
    for measure in MEASURES:
        for r in range(sum(name.startswith(f"{measure}_") for name in validations[0])):
            for row in validations:
                share = row[f"{measure}_{r}"]
                yield job.config, measure, str(r), str(int(row["step"])), f"{100 * share:.2f}"


def draw() -> None:
    """Draw a column for each run, with the labels of self-training in gray."""
    lines = defaultdict(list)
    with (HERE / "curves.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            point = int(line["step"]), float(line["percent"])
            lines[line["config"], line["measure"], int(line["round"])].append(point)
    if missing := [config for config in TITLES if (config, "label_miou", 0) not in lines]:
        raise SystemExit(f"curves.csv has no {', '.join(missing)}: train them")
    first, *others = TITLES
    figure = Figure((10, 5.6), dpi=120, layout="constrained")
    axes = figure.subplots(len(MEASURES), len(others), sharex=True, sharey="row")
    for column, config in enumerate(others):
        for axis, (measure, unit) in zip(axes[:, column], MEASURES.items(), strict=True):
            axis.plot(
                *zip(*lines[first, measure, 0], strict=True), "-", color="gray", lw=3, alpha=0.5
            )
            for r, name in enumerate(("before correction", "after round 1", "after round 2")):
                axis.plot(*zip(*lines[config, measure, r], strict=True), ".-", lw=1, label=name)
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
            if not column:
                axis.set_ylabel(f"teacher's labels, {unit}")
        axes[0, column].set_title(TITLES[config], fontsize=10)
        axes[-1, column].set_xlabel("training step")
    handles, names = axes[0, 0].get_legend_handles_labels()
    gray = axes[0, 0].get_lines()[0]
    figure.legend([gray, *handles], [TITLES[first], *names], loc="outside lower center", ncols=4)
    figure.savefig(HERE / "curves.png")


def main() -> None:
    """Write the curves as numbers and as a figure."""
    work = {(job.config,): partial(curves, job) for job in finished(rows("pseudo_labels"))}
    extend(HERE / "curves.csv", FIELDS, work)
    draw()


if __name__ == "__main__":
    main()
