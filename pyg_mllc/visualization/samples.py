"""Contact sheet of samples of a data set."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pyg_mllc.data import DatasetSpec, Sample
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE
from pyg_mllc.visualization.examples import draw_label, legend_below

COLUMNS = 4


def sample_sheet(samples: Sequence[tuple[str, Sample]], spec: DatasetSpec) -> Figure:
    """Draw samples side by side, each label half transparent over its image.

    Args:
        samples: Titles and samples; unlabeled samples show the image alone.
        spec: Classes and colors.

    Returns:
        The figure.

    Raises:
        InputError: If there are no samples.
    """
    if not samples:
        raise InputError("A sheet shows at least one sample, but there is none.")
    height, width = samples[0][1]["image"].shape[1:]
    rows = -(-len(samples) // COLUMNS)
    shown = sorted({label for _, sample in samples for label in _labels(sample)})
    legend = 0.2 * -(-len(shown) // 6) + 0.4
    inches = (2.4 * height / width + 0.3) * rows + legend
    figure = Figure((10, inches), dpi=120, layout="compressed")
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, sample) in zip(axes, samples, strict=False):
        picture = sample["image"].permute(1, 2, 0).numpy()
        if "label" in sample:
            label = draw_label(sample["label"], spec.colors)
            picture = np.uint8(0.5 * picture + 0.5 * label)
        axis.imshow(picture, interpolation="nearest")
        axis.set_title(title[-34:], fontsize=7, parse_math=False)
    patches = [
        Patch(facecolor=tuple(np.divide(spec.colors[label], 255)), edgecolor="gray")
        for label in shown
    ]
    void = Patch(facecolor="white", edgecolor="gray", hatch="////")
    names = [spec.classes[label] for label in shown]
    legend_below(figure, [*patches, void], [*names, "void or beside the image"], columns=6)
    return figure


def _labels(sample: Sample) -> set[int]:
    return set(sample["label"].unique().tolist()) - {IGNORE} if "label" in sample else set()
