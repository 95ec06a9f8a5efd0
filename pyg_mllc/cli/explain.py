"""`mllc explain`: what a pixel's neighbors are, and how they moved its label."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.errors import one_sentence, short
from pyg_mllc.cli.options import plain_options
from pyg_mllc.errors import InputError
from pyg_mllc.utils.io import atomic_open

if TYPE_CHECKING:
    from torch import Tensor

    from pyg_mllc.inference.explain import Explanation


@hydra_command("explain")
def run(cfg: DictConfig) -> None:
    """Explain the label of one pixel."""
    with one_sentence():
        options = plain_options(cfg, explain)
        x, y = _pixel(cfg["pixel"])
        output = options["output"] or f"explain_{Path(options['image']).stem}_{x}_{y}.png"
        options |= {"x": x, "y": y, "output": output}
        explanation = explain(**options)
        rich.print(_table(explanation))
        print(f"picture: {short(Path(output))}")


def explain(
    checkpoint: str | Path,
    image: str | Path,
    x: int,
    y: int,
    output: str | Path | None = None,
    *,
    network: str = "student",
    allow: Sequence[str] = (),
    device: str | None = None,
) -> "Explanation":
    """Show what the neighbors of a pixel are, and how they moved its label.

    Args:
        checkpoint: `best.ckpt` or `last.ckpt` of a run whose method corrects labels.
        image: path of an image.
        x: column of the pixel, from 0.
        y: row of the pixel, from 0.
        output: name of a picture to write, ending in `.png`; by default none.
        network: `student`, or `teacher`, its average over the training.
        allow: packages of your own that the checkpoint may build layers or methods of, such as
            `[mine]`.
        device: `cpu`, `cuda`, ...; by default a GPU where there is one, else the CPU.

    Raises:
        InputError: if the pixel lies outside, nothing corrects, or a file cannot be used.
    """
    from pyg_mllc.inference.explain import explain as follow
    from pyg_mllc.inference.predictor import load
    from pyg_mllc.visualization.explanation import explanation_figure

    picture = None if output is None else Path(output)
    if picture is not None and (picture.suffix.lower() != ".png" or picture.is_dir()):
        raise InputError(f"output={picture} must be the name of a picture, ending in .png")
    inputs = (Path(image), Path(checkpoint))
    if picture is not None and any(picture.resolve() == path.resolve() for path in inputs):
        raise InputError(f"{picture} is an input and would be overwritten; give another output")
    predictor = load(checkpoint, network, device, allow=allow)
    explanation = follow(predictor, image, x, y)
    if picture is not None:
        figure = explanation_figure(explanation, predictor.classes, predictor.colors)
        with atomic_open(picture) as file:
            figure.savefig(file, format="png")
    return explanation


def _pixel(pixel: object) -> tuple[int, int]:
    parts = str(pixel).strip("()[] ").split(",")
    if len(parts) != 2 or not all(re.fullmatch(r"\s*\d+\s*", part) for part in parts):
        raise InputError(f"pixel={pixel} must be column and row, such as pixel=120,80")
    return int(parts[0]), int(parts[1])


def _table(explanation: "Explanation") -> Table:
    from pyg_mllc.inference.explain import class_shares

    classes = explanation.classes

    def likeliest(probabilities: "Tensor") -> str:
        share, label = probabilities.max(0)
        return f"{classes[int(label)]} {100 * float(share):.1f}"

    def listed(shares: "Tensor") -> str:
        top = shares.topk(min(3, len(classes)))
        pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        return ", ".join(f"{classes[c]} {share:.2f}" for share, c in pairs if share >= 0.005)

    def weighed(evidence: "Tensor") -> str:
        top = evidence.topk(min(3, len(classes)))
        pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        return ", ".join(f"{classes[c]} {value:+.1f}" for value, c in pairs)

    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for column in (
        "",
        "label (%)",
        "neighbor weight",
        "neighbors by label",
        "anchors or evidence",
        "agree",
    ):
        table.add_column(column)
    for name, probabilities in list(explanation.path.items())[: -len(explanation.rounds)]:
        evidence = explanation.evidence if name == "with evidence" else None
        anchors = "" if evidence is None else weighed(evidence)
        table.add_row(*map(Text, (name, likeliest(probabilities), "", "", anchors, "")))
    for number, view in enumerate(explanation.rounds, start=1):
        own, other = class_shares(view, len(classes))
        agree = f"{int((view.agreement > 0).sum())} pixels"
        weight = f"{view.neighbor_weight:.2f}" + (", keeps its label" if view.is_confident else "")
        row = (f"round {number}", likeliest(view.after), weight, listed(own), listed(other), agree)
        table.add_row(*map(Text, row))
    return table
