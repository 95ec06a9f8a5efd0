"""Figure of an explanation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from pyg_mllc.inference.explain import Explanation, RoundView, spread
from pyg_mllc.typing import Color

SHOWN = 5  # classes whose probability is drawn


def explanation_figure(
    explanation: Explanation, classes: Sequence[str], colors: Sequence[Color]
) -> Figure:
    """Draw both graphs around the pixel, one row per round, and the path of its label.

    Args:
        explanation: Result of `explain`.
        classes: Names of the C classes.
        colors: Colors of the C classes.

    Returns:
        The figure.
    """
    rounds, tall = explanation.rounds, explanation.image.size(1) / explanation.image.size(2)
    inches = (4.0 * tall + 0.4) * len(rounds) + 2.3
    figure = Figure((9.2, inches), dpi=130, layout="compressed")
    heights = [4.0 * tall + 0.4] * len(rounds) + [1.8]
    grid = figure.add_gridspec(len(rounds) + 1, 2, height_ratios=heights)
    shown = explanation.image.permute(1, 2, 0).cpu().numpy()
    for number, view in enumerate(rounds):
        left, right = (figure.add_subplot(grid[number, column]) for column in (0, 1))
        for axes in (left, right):
            axes.set(xticks=[], yticks=[])
            axes.imshow(0.6 * shown + 0.4)
        _draw_neighbors(left, explanation, view, colors)
        listening = f"neighbors weigh {view.neighbor_weight:.0%}" + (
            " (confident)" if view.is_confident else ""
        )
        left.set_title(f"round {number + 1}: looks alike, {listening}", fontsize=9)
        heat = spread(view, shown.shape[:2]).cpu().numpy()
        right.imshow(heat, cmap="magma", alpha=0.15 + 0.65 * heat, vmin=0, vmax=1)
        right.plot(*explanation.pixel, "o", mfc="none", mec="cyan", ms=9, mew=2)
        agrees = classes[int(view.label[explanation.node])]
        right.set_title(f"round {number + 1}: agrees on {agrees}", fontsize=9, parse_math=False)
    _draw_path(figure.add_subplot(grid[-1, :]), explanation.path, classes, colors)
    used = sorted({int(c) for v in rounds for c in v.label.flatten()[v.neighbors].tolist()})
    dots: list[Any] = [
        Line2D([], [], marker="o", ls="", color=_plain(colors[c]), mec="black") for c in used
    ]
    legend = figure.legend(
        dots, [f"neighbor: {classes[c]}" for c in used], loc="outside lower left", ncols=4,
        fontsize=8, frameon=False,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _draw_neighbors(
    axes: Any, explanation: Explanation, view: RoundView, colors: Sequence[Color]
) -> None:
    """Draw lines from the pixel to its neighbors, as wide as their weights."""
    (_, height, width), (h, w) = explanation.image.shape, view.label.shape
    x0, y0 = explanation.pixel
    strongest = float(view.weight.max()) if len(view.weight) else 1.0
    weights = (view.weight / strongest).tolist()
    for node, weight in reversed(list(zip(view.neighbors.tolist(), weights, strict=True))):
        row, column = divmod(node, w)
        if (row, column) == explanation.node:
            continue
        x, y = (column + 0.5) * width / w, (row + 0.5) * height / h
        color = _plain(colors[int(view.label[row, column])])
        axes.plot([x0, x], [y0, y], color="black", lw=0.5 + 2 * weight, alpha=0.35)
        axes.plot(x, y, "o", color=color, mec="black", mew=0.6, ms=3 + 5 * weight)
    axes.plot(x0, y0, "o", mfc="none", mec="cyan", ms=9, mew=2)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _draw_path(
    axes: Any, steps: dict[str, Tensor], classes: Sequence[str], colors: Sequence[Color]
) -> None:
    """Draw the probabilities of the most likely classes, step by step."""
    path = np.stack([probabilities.cpu().numpy() for probabilities in steps.values()])
    for c in np.argsort(-path.max(0))[:SHOWN]:
        axes.plot(path[:, c], "o-", color=_plain(colors[c]), mec="black", label=classes[c], lw=2)
    axes.set_xticks(range(len(path)), list(steps))
    axes.set(ylim=(-0.03, 1.03), ylabel="probability")
    axes.spines[["top", "right"]].set_visible(False)
    for text in axes.legend(
        fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5)
    ).get_texts():
        text.set_parse_math(False)


def _plain(color: Color) -> tuple[float, float, float]:
    return color[0] / 255, color[1] / 255, color[2] / 255
