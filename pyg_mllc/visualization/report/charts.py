"""Curves, confusion matrices and reliability diagrams."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pyg_mllc.evaluation.results import Evaluation, TrainingResult
from pyg_mllc.typing import Scores
from pyg_mllc.utils.io import atomic_open
from pyg_mllc.visualization.examples import legend_below
from pyg_mllc.visualization.report.tables import file_name

# Distinct for most color-blind readers.
RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
STAGE_COLORS = ("#9aa5b1", "#0072b2")  # before correction, after
_LOSSES = {"supervised": "labeled", "unsupervised": "unlabeled", "contrast": "contrast"}
_ROUNDS = {f"label_accuracy_{r}": f"after round {r}" for r in range(1, 10)}
CHARTS = {  # title: unit, factor, and what to draw of the history, under which name
    "Validation mIoU": ("mIoU (%)", 100, {"miou": "student", "teacher_miou": "teacher"}),
    "Accuracy of the teacher's labels": (
        "pixels that are right (%)",
        100,
        {"label_accuracy_0": "before correction", **_ROUNDS},
    ),
    "Training loss": ("loss (nats)", 1, {"loss": "loss"}),
    "Parts of the loss": ("loss (nats)", 1, _LOSSES),
    "Confident pseudo-labels": ("share of pixels (%)", 100, {"confident": "confident"}),
}
LINES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
NUMBERED = 24  # classes up to which a confusion matrix shows its numbers


def stage_colors(count: int) -> tuple[str, ...]:
    """Return the colors of stages; a single stage has the color of the last."""
    return STAGE_COLORS[len(STAGE_COLORS) - count :]


def curves_figure(
    runs: Sequence[TrainingResult], unit: str, factor: float, keys: Mapping[str, str]
) -> Figure | None:
    """Draw curves of all runs.

    Args:
        runs: Runs to draw.
        unit: Label of the y axis.
        factor: Factor of the values.
        keys: Keys in the runs' history, and their names in the legend.

    Returns:
        The figure; None if nothing was logged after a step.
    """
    if not any(step for run in runs for key in keys for step, _ in run.curve(key)):
        return None
    figure = Figure((5.6, 3.8), dpi=200, layout="constrained")
    axis = figure.subplots()
    axis.set(xlabel="training step", ylabel=unit)
    axis.locator_params(axis="x", nbins=6, integer=True, min_n_ticks=1)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    methods, parts = {}, {}
    for run, color in zip(runs, cycle(RUN_COLORS), strict=False):
        for (key, part), style in zip(keys.items(), cycle(LINES), strict=False):
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


def write_figures(folder: Path, evaluation: Evaluation, classes: Sequence[str]) -> None:
    """Write `reliability.png` and a confusion matrix for each stage.

    Args:
        folder: Folder of the files; made if it is missing.
        evaluation: Results to draw.
        classes: Names of the C classes.

    Raises:
        OSError: If a file cannot be written.
    """
    figures = {"reliability": reliability_figure(evaluation.stages)}
    for name, scores in evaluation.stages.items():
        figures[f"confusion_{file_name(name)}"] = confusion_figure(scores, classes)
    for name, figure in figures.items():
        with atomic_open(folder / f"{name}.png") as file:
            figure.savefig(file, format="png")


def confusion_figure(scores: Scores, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix, in percent of each true class (row).

    Args:
        scores: Scores of a stage.
        classes: Names of the C classes.

    Returns:
        The figure.
    """
    counts = scores["confusion"].double().numpy()
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.4 + 0.36 * min(len(classes), 30)
    figure = Figure((side, side), dpi=150, layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    size = 8 if len(classes) <= 30 else max(2.0, 240 / len(classes))
    axis.set_xticks(range(len(classes)), classes, rotation=90, fontsize=size, parse_math=False)
    axis.set_yticks(range(len(classes)), classes, fontsize=size, parse_math=False)
    axis.set_xlabel("label (% of the true class)")
    axis.set_ylabel("truth")
    if len(classes) <= NUMBERED:
        for row, column in np.argwhere(shares >= 0.5):
            share = shares[row, column]
            color = "white" if share > 60 else "black"
            text = f"{share:.0f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=6.5, color=color)
    return figure


def reliability_figure(stages: Mapping[str, Scores]) -> Figure:
    """Draw reliability diagrams: accuracy and number of pixels by confidence.

    Args:
        stages: Scores by stage.

    Returns:
        The figure.
    """
    figure = Figure((5.6, 4.6), dpi=150, layout="constrained")
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], ":", color="gray", label="as right as sure")
    for (name, scores), color in zip(stages.items(), stage_colors(len(stages)), strict=True):
        pixels, right, confidence = scores["reliability"].numpy().T
        enough = pixels > 1e-4 * pixels.sum()  # the accuracy of a few pixels is chance
        label = f"{name} (calibration error {100 * scores['calibration_error']:.1f}%)"
        accuracy, sure = right[enough] / pixels[enough], confidence[enough] / pixels[enough]
        top.plot(sure, accuracy, "o-", color=color, markersize=4, label=label)
        edges = np.linspace(0, 1, len(pixels) + 1)
        below.stairs(100 * pixels / max(pixels.sum(), 1), edges, color=color)
    top.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    below.set(xlabel="confidence", ylabel="pixels (%)")
    top.legend(fontsize=8, frameon=False, loc="best")
    for axis in (top, below):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
