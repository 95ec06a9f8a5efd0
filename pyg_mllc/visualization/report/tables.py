"""Figures as rows: in the terminal, in the report, and as CSV files."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pyg_mllc.evaluation.results import Evaluation, ImageFigures, TrainingResult
from pyg_mllc.metrics.segmentation import Scores
from pyg_mllc.utils.io import write_csv
from pyg_mllc.visualization.examples import percent

MEASURES = {  # names of columns, and of scores
    "mIoU": "miou",
    "pixel accuracy": "accuracy",
    "boundary F": "boundary_f",
    "calibration error": "calibration_error",
}


def comparison_table(runs: Sequence[TrainingResult]) -> Table:
    """Compare the methods in the terminal, a row each, within 80 columns."""
    table = plain_table("method", "last mIoU", "best mIoU", "label mIoU", "s/step", "total s")
    for run in runs:
        best = percent(run.best_miou, 1) + ("" if run.best_step is None else f" @{run.best_step}")
        row = [run.name, percent(run.last_miou, 1), best, chain(run.label_miou), *_times(run)]
        table.add_row(*map(Text, row))  # Text: a name may hold [brackets]
    return table


def stages_table(stages: Mapping[str, Scores]) -> Table:
    """Show in the terminal what was measured, in percent, before and after correction."""
    table = plain_table("%", *MEASURES)
    for name, scores in stages.items():
        table.add_row(name, *(percent(float(scores[key]), 1) for key in MEASURES.values()))
    return table


def run_cells(run: TrainingResult) -> dict[str, str]:
    """Give a run's row of the report, by column."""
    step = "" if run.best_step is None else f" (step {run.best_step:,})"
    return {
        "method": run.name,
        "last mIoU (%)": percent(run.last_miou, 1),
        "best mIoU (%)": percent(run.best_miou, 1) + step,
        "label accuracy (%)": _rounds(run.label_accuracy, 2),
        "label mIoU (%)": _rounds(run.label_miou, 1),
        **dict(zip(("step (s)", "time (s)"), _times(run), strict=True)),
    }


def stage_cells(name: str, scores: Scores) -> dict[str, str]:
    """Give a stage's row of the report, by column."""
    figures = {f"{what} (%)": percent(float(scores[key]), 2) for what, key in MEASURES.items()}
    return {"labels": name, **figures}


def image_row(figures: ImageFigures) -> dict[str, int | float | str]:
    """Give an image's figures by column; shares in 0..1, with 4 digits."""
    ends = ("_before", "_after") if len(figures.accuracy) > 1 else ("",)
    row: dict[str, int | float | str] = {"image": figures.name, "void": round(figures.void, 4)}
    for name in ("accuracy", "miou", "boundary_f"):
        for end, value in zip(ends, getattr(figures, name), strict=True):
            row[name + end] = round(value, 4)
    row["confidence"] = round(figures.confidence, 4)
    if len(ends) > 1:
        row |= {kind: getattr(figures, kind) for kind in ("mended", "spoiled", "still_wrong")}
    return row


def write_tables(folder: Path, evaluation: Evaluation, classes: Sequence[str]) -> None:
    """Write `measures.csv`, `classes.csv`, `images.csv` and a confusion matrix for each stage.

    Shares lie in 0..1, and are left empty where there is nothing to measure.

    Args:
        folder: where to; is made where it is missing.
        evaluation: what was measured.
        classes: names of the C classes.
    """
    stages = evaluation.stages
    rows = [[name, *(float(s[key]) for key in MEASURES.values())] for name, s in stages.items()]
    write_csv(folder / "measures.csv", ["labels", *map(file_name, MEASURES)], rows)

    pixels = next(iter(stages.values()))["confusion"].sum(1).tolist()
    parts = [
        s[part].tolist() for s in stages.values() for part in ("class_iou", "class_boundary_f")
    ]
    named = [f"{part}_{file_name(name)}" for name in stages for part in ("iou", "boundary_f")]
    write_csv(
        folder / "classes.csv",
        ["class", "pixels", *named],
        zip(classes, pixels, *parts, strict=True),
    )

    images = [image_row(figures) for figures in evaluation.images]
    write_csv(folder / "images.csv", list(images[0]), (row.values() for row in images))

    for name, scores in stages.items():
        lines = zip(classes, scores["confusion"].tolist(), strict=True)
        matrix = ([truth, *counts] for truth, counts in lines)
        write_csv(folder / f"confusion_{file_name(name)}.csv", ["truth", *classes], matrix)


def file_name(name: str) -> str:
    """Give the name of a stage or measure as files and columns have it."""
    return name.lower().replace(" ", "_")


def plain_table(*columns: str) -> Table:
    """Give a table for the terminal, its first column on the left, the others on the right."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    return table


def spread(shares: Sequence[float], sign: str = "") -> str:
    """Give the mean and, of two values or more, the standard deviation, in percent.

    With `sign="+"` the mean is that of gains, whose sign is shown.
    """
    deviation = f" ± {100 * stdev(shares):.1f}" if len(shares) > 1 else ""
    return f"{100 * mean(shares):{sign}z.1f}{deviation}"


def chain(shares: Sequence[float], digits: int = 1) -> str:
    """Give shares before correction and after each round, in percent."""
    return " → ".join(percent(share, digits) for share in shares) or "n/a"


def _times(run: TrainingResult) -> tuple[str, str]:
    step = "n/a" if math.isnan(run.step_seconds) else f"{run.step_seconds:.2f}"
    return step, f"{run.seconds:,.0f}"


def _rounds(shares: Sequence[float], digits: int) -> str:
    told = chain(shares, digits)
    gain = 100 * (shares[-1] - shares[0]) if len(shares) > 1 else math.nan
    return told if math.isnan(gain) else f"{told} ({gain:+z.{digits}f})"
