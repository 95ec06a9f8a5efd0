"""Tables of results for the terminal, the report and CSV files."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pyg_mllc.evaluation.results import Evaluation, ImageFigures, TrainingResult
from pyg_mllc.typing import Scores
from pyg_mllc.utils.io import write_csv
from pyg_mllc.visualization.examples import percent

MEASURES = {  # names of columns, and of scores
    "mIoU": "miou",
    "pixel accuracy": "accuracy",
    "boundary F": "boundary_f",
    "calibration error": "calibration_error",
}


def comparison_table(runs: Sequence[TrainingResult]) -> Table:
    """Build a table for the terminal that compares runs within 80 columns.

    Args:
        runs: Runs to compare.
    """
    table = plain_table("method", "last mIoU", "best mIoU", "label mIoU", "s/step", "total s")
    for run in runs:
        best = percent(run.best_miou, 1) + ("" if run.best_step is None else f" @{run.best_step}")
        row = [run.name, percent(run.last_miou, 1), best, chain(run.label_miou), *_times(run)]
        table.add_row(*map(Text, row))  # Text: a name may hold [brackets]
    return table


def stages_table(stages: Mapping[str, Scores]) -> Table:
    """Build a table for the terminal of the metrics of stages, in percent.

    Args:
        stages: Scores by stage.
    """
    table = plain_table("%", *MEASURES)
    for name, scores in stages.items():
        table.add_row(name, *(percent(float(scores[key]), 1) for key in MEASURES.values()))
    return table


def run_cells(run: TrainingResult) -> dict[str, str]:
    """Format the row of a run in the report, by column."""
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
    """Format the row of a stage in the report, by column."""
    figures = {f"{what} (%)": percent(float(scores[key]), 2) for what, key in MEASURES.items()}
    return {"labels": name, **figures}


def image_row(figures: ImageFigures) -> dict[str, int | float | str]:
    """Return the figures of an image by column; shares in [0, 1], with 4 digits."""
    ends = ("_before", "_after") if len(figures.accuracy) > 1 else ("",)
    row: dict[str, int | float | str] = {"image": figures.name, "void": round(figures.void, 4)}
    for name in ("accuracy", "miou", "boundary_f"):
        for end, value in zip(ends, getattr(figures, name), strict=True):
            row[name + end] = round(value, 4)
    row["confidence"] = round(figures.confidence, 4)
    if len(ends) > 1:
        row |= {kind: getattr(figures, kind) for kind in ("fixed", "broken", "still_wrong")}
    return row


def write_tables(folder: Path, evaluation: Evaluation, classes: Sequence[str]) -> None:
    """Write `measures.csv`, `classes.csv`, `images.csv` and a confusion matrix for each stage.

    Shares are in [0, 1]; cells are empty where there is nothing to measure.

    Args:
        folder: Folder of the files; made if it is missing.
        evaluation: Results to write.
        classes: Names of the C classes.

    Raises:
        OSError: If a file cannot be written.
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
    """Return the name of a stage or metric in file and column names."""
    return name.lower().replace(" ", "_")


def plain_table(*columns: str) -> Table:
    """Build an empty table for the terminal; all columns but the first are right-aligned."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    return table


def spread(shares: Sequence[float], sign: str = "") -> str:
    """Format the mean and, with two values or more, the standard deviation, in percent.

    Args:
        shares: Values in [0, 1] or their differences, at least one.
        sign: "+" shows the sign of the mean.
    """
    deviation = f" ± {100 * stdev(shares):.1f}" if len(shares) > 1 else ""
    return f"{100 * mean(shares):{sign}z.1f}{deviation}"


def chain(shares: Sequence[float], digits: int = 1) -> str:
    """Format shares before correction and after each round, in percent."""
    return " → ".join(percent(share, digits) for share in shares) or "n/a"


def _times(run: TrainingResult) -> tuple[str, str]:
    step = "n/a" if math.isnan(run.step_seconds) else f"{run.step_seconds:.2f}"
    return step, f"{run.seconds:,.0f}"


def _rounds(shares: Sequence[float], digits: int) -> str:
    told = chain(shares, digits)
    gain = 100 * (shares[-1] - shares[0]) if len(shares) > 1 else math.nan
    return told if math.isnan(gain) else f"{told} ({gain:+z.{digits}f})"
