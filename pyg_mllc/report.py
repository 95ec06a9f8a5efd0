"""Show what was learned and corrected: one HTML file, one figure, one table for the terminal."""

import math
import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table
from rich.text import Text
from torch import Tensor

from pyg_mllc.data import IGNORE
from pyg_mllc.errors import InputError

Color = tuple[int, int, int]  # red, green, blue, 0..255
Picture = NDArray[np.uint8]  # (H, W, 3)

# Told apart by most color-blind readers.
RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
CHANGES = {"mended": (0, 158, 115), "spoiled": (204, 51, 17), "still wrong": (119, 136, 170)}
VOID = ((200, 200, 200), (235, 235, 235))  # stripes, since a class may be gray as well
CONFIDENCE = colormaps["viridis"]
_LOSSES = {"supervised": "labeled", "unsupervised": "unlabeled", "contrast": "contrast"}
CHARTS = {  # title: unit, factor, and what to draw of the history, under which name
    "Validation mIoU": ("mIoU (%)", 100, {"miou": "student", "teacher_miou": "teacher"}),
    "Training loss": ("loss (nats)", 1, {"loss": "loss"}),
    "Parts of the loss": ("loss (nats)", 1, _LOSSES),
    "Trusted pseudo-labels": ("share of pixels (%)", 100, {"trusted": "trusted"}),
}
LINES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")


@dataclass(frozen=True)
class Run:
    """One trained method: its curves and its results on the validation split.

    Args:
        name: what tables and legends call it.
        history: rows with `"step"` and whatever was logged then: losses, `"trusted"`, `"miou"` of
            the student, `"teacher_miou"`, `"lr"`; shares lie in 0..1.
        class_iou: per class at the last validation, 0..1; NaN where absent, empty if unknown.
        label_accuracy: of the teacher's labels on the validation split, before correction and
            after each round, 0..1; empty without a corrector.
        label_miou: likewise.
        seconds: training time.
    """

    name: str
    history: list[dict[str, float]]
    class_iou: list[float]
    label_accuracy: list[float]
    label_miou: list[float]
    seconds: float

    @property
    def last_miou(self) -> float:
        """Student's mIoU at the last validation, 0..1; NaN if never validated."""
        return (self.curve("miou") or [(0.0, math.nan)])[-1][1]

    @property
    def best_miou(self) -> float:
        """Student's highest mIoU, 0..1; NaN if never validated."""
        return max((miou for _, miou in self.curve("miou")), default=math.nan)

    @property
    def best_step(self) -> int | None:
        """Step at which the highest mIoU was first reached; None if never validated."""
        return next((int(step) for step, v in self.curve("miou") if v == self.best_miou), None)

    def curve(self, key: str) -> list[tuple[float, float]]:
        """List (step, value) wherever `key` was logged as a number."""
        logged = [(row["step"], row[key]) for row in self.history if key in row]
        return [(step, value) for step, value in logged if not math.isnan(value)]


@dataclass(frozen=True)
class Example:
    """One validation image seen by the corrector.

    Args:
        name: its caption.
        image: `(3, H, W)` uint8.
        truth: `(H, W)` int64, IGNORE where void.
        before: `(H, W)` int64, the teacher's label before correction.
        after: `(H, W)` int64, after the last round.
        confidence: `(H, W)` in 0..1, of the label after correction.
    """

    name: str
    image: Tensor
    truth: Tensor
    before: Tensor
    after: Tensor
    confidence: Tensor

    def accuracy(self, label: Tensor) -> float:
        """Give the share of pixels, void aside, where `label` is right; NaN if all are void."""
        return (label == self.truth)[self.truth != IGNORE].float().mean().item()

    def changes(self) -> dict[str, Tensor]:
        """Sort the changed pixels, void aside, by what became of them: `(H, W)` bool each."""
        changed = (self.before != self.after) & (self.truth != IGNORE)
        mended = changed & (self.after == self.truth)
        spoiled = changed & (self.before == self.truth)
        return dict(zip(CHANGES, (mended, spoiled, changed & ~mended & ~spoiled), strict=True))


def draw_label(label: Tensor, colors: Sequence[Color]) -> Picture:
    """Paint each class of a label `(H, W)` in its color, and void in gray stripes."""
    y, x = np.indices(label.shape)
    picture = np.array(VOID, dtype=np.uint8)[(x + y) // max(2, label.shape[1] // 40) % 2]
    for index, color in enumerate(colors):
        picture[(label == index).cpu().numpy()] = color
    return picture


def draw_changes(example: Example) -> Picture:
    """Paint the pixels whose label changed over the faded image, in the colors of `CHANGES`."""
    gray = example.image.float().mean(dim=0).cpu().numpy()
    picture = np.repeat((255 - 0.4 * (255 - gray)).astype(np.uint8)[..., None], 3, axis=2)
    for kind, mask in example.changes().items():
        picture[mask.cpu().numpy()] = CHANGES[kind]
    return picture


def comparison_table(runs: Sequence[Run]) -> Table:
    """Compare the methods in the terminal: a row each, with the figures of the HTML report."""
    table = Table()
    for column in _cells(runs[0]) if runs else ():
        table.add_column(column, justify="left" if column == "method" else "right")
    for run in runs:
        table.add_row(*map(Text, _cells(run).values()))  # Text: a name may hold [brackets]
    return table


def example_figure(
    examples: Sequence[Example], classes: Sequence[str], colors: Sequence[Color]
) -> Figure:
    """Draw a row of image, truth, label before and after, and confidence for each example.

    Raises:
        InputError: if there are no examples, or not one color for each class.
    """
    _check(classes, "colors", colors)
    if not examples:
        raise InputError("example_figure draws at least one example, but the list is empty.")
    tallest = max(height / width for height, width in (e.truth.shape for e in examples))
    inches = (1.7 * tallest + 0.32) * len(examples) + 0.2 * math.ceil(len(classes) / 6) + 0.5
    figure = Figure((10, inches), dpi=150, layout="compressed")
    axes = figure.subplots(len(examples), 5, squeeze=False)
    for row, example in zip(axes, examples, strict=True):
        panels = _panels(example, colors)
        del panels["changes"]
        for column, (title, (picture, caption)) in enumerate(panels.items()):
            row[column].imshow(picture, interpolation="nearest")
            row[column].set(xticks=[], yticks=[])
            row[column].set_xlabel(caption[-28:], fontsize=8, parse_math=False)
            axes[0, column].set_title(title, fontsize=10)
    figure.colorbar(ScalarMappable(cmap=CONFIDENCE), ax=axes, fraction=0.02, label="confidence")
    patches = [Patch(facecolor=tuple(np.divide(color, 255)), edgecolor="gray") for color in colors]
    void = Patch(facecolor="white", edgecolor="gray", hatch="////")
    _legend(figure, [*patches, void], [*classes, "void"], columns=6)
    return figure


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
    _check(classes, "colors", colors)
    for run in runs:
        _check(classes, f"class IoUs of run {run.name!r}", run.class_iou or classes)
    colored = zip(runs, cycle(RUN_COLORS), strict=False)
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True)
    html = page.get_template("report.html.j2").render(
        title=title,
        facts=facts,
        runs=[(run, _cells(run), color) for run, color in colored],
        charts=[(name, _chart(runs, *chart)) for name, chart in CHARTS.items()],
        classes=list(zip(classes, colors, strict=True)),
        gallery=[_panels(example, colors) for example in examples],
        changes=CHANGES,
        confidence=[CONFIDENCE(share / 8, bytes=True)[:3] for share in range(9)],
        void=VOID,
        percent=_percent,
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


def _check(classes: Sequence[str], what: str, given: Sequence) -> None:
    if len(given) != len(classes):
        raise InputError(f"{len(given)} {what}, but {len(classes)} classes; give one for each.")


def _cells(run: Run) -> dict[str, str]:
    step = "" if run.best_step is None else f" (step {run.best_step:,})"
    return {
        "method": run.name,
        "last mIoU (%)": _percent(run.last_miou, 1),
        "best mIoU (%)": _percent(run.best_miou, 1) + step,
        "label accuracy (%)": _rounds(run.label_accuracy, 2),
        "label mIoU (%)": _rounds(run.label_miou, 1),
        "time (s)": f"{run.seconds:,.0f}",
    }


def _percent(share: float, digits: int, unit: str = "") -> str:
    return "n/a" if math.isnan(share) else f"{100 * share:.{digits}f}{unit}"


def _rounds(shares: Sequence[float], digits: int) -> str:
    chain = " → ".join(_percent(share, digits) for share in shares) or "n/a"
    gain = 100 * (shares[-1] - shares[0]) if len(shares) > 1 else math.nan
    return chain if math.isnan(gain) else f"{chain} ({gain:+.{digits}f})"


def _panels(example: Example, colors: Sequence[Color]) -> dict[str, tuple[Picture, str]]:
    before, after = example.accuracy(example.before), example.accuracy(example.after)
    void = (example.truth == IGNORE).float().mean().item()
    counts = [f"{mask.sum().item():,} {kind}" for kind, mask in example.changes().items()]
    confidence = example.confidence.float().cpu().numpy()
    sure = CONFIDENCE(confidence, bytes=True)[..., :3]
    return {
        "image": (example.image.permute(1, 2, 0).cpu().numpy(), example.name),
        "truth": (draw_label(example.truth, colors), _percent(void, 1, "% void")),
        "label before": (draw_label(example.before, colors), _percent(before, 2, "% right")),
        "label after": (
            draw_label(example.after, colors),
            _percent(after, 2, f"% right ({100 * (after - before):+.2f})"),
        ),
        "changes": (draw_changes(example), ", ".join(counts)),
        "confidence": (sure, f"mean {confidence.mean():.2f}"),
    }


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
    _legend(figure, [line for _, line in lines], [name for name, _ in lines], columns=4)
    return figure if lines else None


def _legend(figure: Figure, handles: list, labels: list[str], columns: int) -> None:
    legend = figure.legend(
        handles, labels, loc="outside lower left", ncols=columns, fontsize=8, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _data_uri(picture: Picture | Figure, kind: str = "png") -> str:
    buffer = BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format=kind)
    else:
        Image.fromarray(picture).save(buffer, kind, quality=90)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"
