"""Show what was learned and corrected: one HTML file, and one table for the terminal."""

import math
import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pyg_mllc.pictures import (
    CHANGES,
    CONFIDENCE,
    VOID,
    Color,
    Picture,
    check_one_each,
    legend_below,
    panels,
    percent,
)
from pyg_mllc.results import Example, Run

# Told apart by most color-blind readers.
RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
_LOSSES = {"supervised": "labeled", "unsupervised": "unlabeled", "contrast": "contrast"}
CHARTS = {  # title: unit, factor, and what to draw of the history, under which name
    "Validation mIoU": ("mIoU (%)", 100, {"miou": "student", "teacher_miou": "teacher"}),
    "Training loss": ("loss (nats)", 1, {"loss": "loss"}),
    "Parts of the loss": ("loss (nats)", 1, _LOSSES),
    "Trusted pseudo-labels": ("share of pixels (%)", 100, {"trusted": "trusted"}),
}
LINES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")


def comparison_table(runs: Sequence[Run]) -> Table:
    """Compare the methods in the terminal, a row each, within 80 columns."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for column in ("method", "last mIoU", "best mIoU", "label accuracy", "s/step", "total s"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for run in runs:
        best = percent(run.best_miou, 1) + ("" if run.best_step is None else f" @{run.best_step}")
        labels = " → ".join(percent(share, 1) for share in run.label_accuracy) or "n/a"
        row = [run.name, percent(run.last_miou, 1), best, labels, *_times(run)]
        table.add_row(*map(Text, row))  # Text: a name may hold [brackets]
    return table


def write_report(
    path: Path,
    title: str,
    runs: Sequence[Run],
    examples: Sequence[Example],
    classes: Sequence[str],
    colors: Sequence[Color],
    facts: Mapping[str, str],
) -> None:
    """Write one HTML file that needs no other: facts, results, curves, and corrected labels.

    The file replaces `path` only once it is complete; missing folders are made.

    Args:
        path: the file to write.
        title: the heading.
        runs: methods to compare, in the order of the table.
        examples: images for the gallery; may be empty.
        classes: names of the C classes.
        colors: their C colors.
        facts: what made these results, such as data, seeds, versions, machine, command.

    Raises:
        InputError: if the colors, or the class IoUs of a run, are not one for each class.
    """
    check_one_each(classes, "colors", colors)
    for run in runs:
        check_one_each(classes, f"class IoUs of run {run.name!r}", run.class_iou or classes)
    colored = zip(runs, cycle(RUN_COLORS), strict=False)
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True)
    html = page.get_template("report.html.j2").render(
        title=title,
        facts=facts,
        runs=[(run, _cells(run), color) for run, color in colored],
        charts=[(name, _chart(runs, *chart)) for name, chart in CHARTS.items()],
        classes=list(zip(classes, colors, strict=True)),
        gallery=[panels(example, colors) for example in examples],
        changes=CHANGES,
        confidence=[CONFIDENCE(share / 8, bytes=True)[:3] for share in range(9)],
        void=VOID,
        percent=percent,
        data_uri=_data_uri,
    )
    _write_whole(path, html)


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _cells(run: Run) -> dict[str, str]:
    step = "" if run.best_step is None else f" (step {run.best_step:,})"
    return {
        "method": run.name,
        "last mIoU (%)": percent(run.last_miou, 1),
        "best mIoU (%)": percent(run.best_miou, 1) + step,
        "label accuracy (%)": _rounds(run.label_accuracy, 2),
        "label mIoU (%)": _rounds(run.label_miou, 1),
        **dict(zip(("step (s)", "time (s)"), _times(run), strict=True)),
    }


def _times(run: Run) -> tuple[str, str]:
    step = "n/a" if math.isnan(run.step_seconds) else f"{run.step_seconds:.2f}"
    return step, f"{run.seconds:,.0f}"


def _rounds(shares: Sequence[float], digits: int) -> str:
    chain = " → ".join(percent(share, digits) for share in shares) or "n/a"
    gain = 100 * (shares[-1] - shares[0]) if len(shares) > 1 else math.nan
    return chain if math.isnan(gain) else f"{chain} ({gain:+.{digits}f})"


def _chart(runs: Sequence[Run], unit: str, factor: float, keys: Mapping[str, str]) -> Figure | None:
    """Draw the curves of all runs, or nothing if none was logged."""
    figure = Figure((5.6, 3.8), dpi=200, layout="constrained")
    axis = figure.subplots()
    axis.set(xlabel="training step", ylabel=unit)
    axis.locator_params(axis="x", nbins=6, integer=True, min_n_ticks=1)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    methods, parts = {}, {}
    for run, color in zip(runs, cycle(RUN_COLORS), strict=False):
        for (key, part), style in zip(keys.items(), LINES, strict=False):
            if not (curve := run.curve(key)):
                continue
            points = np.transpose(curve) * [[1], [factor]]  # (2, points)
            window = max(1, len(curve) // 40)
            mean = [np.convolve(row, np.full(window, 1 / window), "valid") for row in points]
            axis.plot(*points, color=color, alpha=0.2, linewidth=0.8)
            axis.plot(*mean, style, color=color, marker="o" * (len(curve) <= 40), markersize=3)
            methods[run.name] = Line2D([], [], color=color)
            parts[part] = Line2D([], [], color="gray", linestyle=style)
    lines = [*methods.items(), *(parts.items() if len(parts) > 1 else ())]
    legend_below(figure, [line for _, line in lines], [name for name, _ in lines], columns=4)
    return figure if lines else None


def _data_uri(picture: Picture | Figure, kind: str = "png") -> str:
    buffer = BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format=kind)
    else:
        Image.fromarray(picture).save(buffer, kind, quality=90)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"
