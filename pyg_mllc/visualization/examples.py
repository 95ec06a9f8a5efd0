"""Figures of examples: labels before and after correction, changes, confidence."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from pyg_mllc.errors import InputError
from pyg_mllc.evaluation.results import Example
from pyg_mllc.typing import IGNORE, Color

Pixels = NDArray[np.uint8]  # (H, W, 3)

CHANGES = {"fixed": (0, 158, 115), "broken": (204, 51, 17), "still wrong": (119, 136, 170)}
VOID = ((200, 200, 200), (235, 235, 235))  # stripes, because a class may be gray
CONFIDENCE = colormaps["viridis"]


def draw_label(label: Tensor, colors: Sequence[Color]) -> Pixels:
    """Draw each class in its color, and void in gray stripes.

    Args:
        label: Classes `(H, W)`.
        colors: Colors of the C classes.

    Returns:
        Image `(H, W, 3)`.
    """
    y, x = np.indices(label.shape)
    picture = np.array(VOID, dtype=np.uint8)[(x + y) // max(2, label.shape[1] // 40) % 2]
    for index, color in enumerate(colors):
        picture[(label == index).cpu().numpy()] = color
    return picture


def draw_changes(example: Example) -> Pixels:
    """Draw the pixels whose label changed in the colors of `CHANGES`, over the faded image.

    Args:
        example: Image and its labels.

    Returns:
        Image `(H, W, 3)`.
    """
    gray = example.image.float().mean(dim=0).cpu().numpy()
    picture = np.repeat((255 - 0.4 * (255 - gray)).astype(np.uint8)[..., None], 3, axis=2)
    for kind, mask in example.changes().items():
        picture[mask.cpu().numpy()] = CHANGES[kind]
    return picture


def panels(example: Example, colors: Sequence[Color]) -> dict[str, tuple[Pixels, str]]:
    """Draw all panels of an example.

    Args:
        example: Image and its labels.
        colors: Colors of the C classes.

    Returns:
        Image `(H, W, 3)` and caption of each panel, by title.
    """
    before, after = example.accuracy(example.before), example.accuracy(example.after)
    void = (example.truth == IGNORE).float().mean().item()
    counts = [f"{mask.sum().item():,} {kind}" for kind, mask in example.changes().items()]
    confidence = example.confidence.float().cpu().numpy()
    sure = CONFIDENCE(confidence, bytes=True)[..., :3]
    return {
        "image": (example.image.permute(1, 2, 0).cpu().numpy(), example.name),
        "truth": (draw_label(example.truth, colors), percent(void, 1, "% void")),
        "label before": (draw_label(example.before, colors), percent(before, 2, "% right")),
        "label after": (
            draw_label(example.after, colors),
            percent(after, 2, f"% right ({100 * (after - before):+z.2f})"),
        ),
        "changes": (draw_changes(example), ", ".join(counts)),
        "confidence": (sure, f"mean {confidence.mean():.2f}"),
    }


def example_figure(
    examples: Sequence[Example], classes: Sequence[str], colors: Sequence[Color]
) -> Figure:
    """Draw a row of image, truth, label before and after, and confidence for each example.

    Args:
        examples: Images and their labels.
        classes: Names of the C classes.
        colors: Colors of the C classes.

    Returns:
        The figure.

    Raises:
        InputError: If there are no examples, or not one color per class.
    """
    check_one_each(classes, "colors", colors)
    if not examples:
        raise InputError("example_figure draws at least one example, but the list is empty.")
    heights = [1.7 * height / width for height, width in (e.truth.shape for e in examples)]
    inches = sum(heights) + 0.32 * len(examples) + 0.2 * math.ceil(len(classes) / 6) + 0.5
    figure = Figure((10, inches), dpi=150, layout="compressed")
    axes = figure.subplots(len(examples), 5, squeeze=False, height_ratios=heights)
    for row, example in zip(axes, examples, strict=True):
        shown = panels(example, colors)
        del shown["changes"]
        for column, (title, (picture, caption)) in enumerate(shown.items()):
            row[column].imshow(picture, interpolation="nearest")
            row[column].set(xticks=[], yticks=[])
            row[column].set_xlabel(caption[-28:], fontsize=8, parse_math=False)
            axes[0, column].set_title(title, fontsize=10)
    figure.colorbar(ScalarMappable(cmap=CONFIDENCE), ax=axes, fraction=0.02, label="confidence")
    patches = [Patch(facecolor=tuple(np.divide(color, 255)), edgecolor="gray") for color in colors]
    void = Patch(facecolor="white", edgecolor="gray", hatch="////")
    legend_below(figure, [*patches, void], [*classes, "void"], columns=6)
    return figure


def check_one_each(classes: Sequence[str], what: str, values: Sequence) -> None:
    """Check that there is one value per class.

    Args:
        classes: Names of the C classes.
        what: Name of the values, for messages.
        values: Values to check.

    Raises:
        InputError: If there is not.
    """
    if len(values) != len(classes):
        raise InputError(f"{len(values)} {what}, but {len(classes)} classes; give one for each.")


def percent(share: float, digits: int, unit: str = "") -> str:
    """Format a share in percent.

    Args:
        share: Share in [0, 1]; NaN becomes "n/a".
        digits: Number of decimals.
        unit: Text after the number.
    """
    return "n/a" if math.isnan(share) else f"{100 * share:.{digits}f}{unit}"


def legend_below(figure: Figure, handles: list, labels: list[str], columns: int) -> None:
    """Draw a legend below all axes, with labels as plain text, not math.

    Args:
        figure: Figure to draw in.
        handles: Artists of the entries.
        labels: Texts of the entries.
        columns: Number of columns.
    """
    legend = figure.legend(
        handles, labels, loc="outside lower left", ncols=columns, fontsize=8, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
