"""`mllc explain`: what a pixel's neighbors are, and how they moved its label."""

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.errors import one_sentence, short
from pyg_mllc.cli.options import plain_options
from pyg_mllc.errors import InputError


@hydra_command("explain")
def run(cfg: DictConfig) -> None:
    """Explain the label of one pixel."""
    with one_sentence():
        _explain(plain_options(cfg))


def _explain(cfg: dict[str, Any]) -> None:
    import rich

    from pyg_mllc.inference.explain import explain
    from pyg_mllc.inference.predictor import load
    from pyg_mllc.utils.io import atomic_open
    from pyg_mllc.visualization.explanation import explanation_figure

    x, y = _pixel(cfg["pixel"])
    image = Path(cfg["image"])
    output = Path(cfg["output"] or f"explain_{image.stem}_{x}_{y}.png")
    if output.suffix.lower() != ".png" or output.is_dir():
        raise InputError(f"output={output} must be the name of a picture, ending in .png")
    if any(output.resolve() == Path(given).resolve() for given in (image, cfg["checkpoint"])):
        raise InputError(f"{output} is an input and would be overwritten; give another output")
    predictor = load(cfg["checkpoint"], cfg["network"], cfg["device"], allow=cfg["allow"])
    found = explain(predictor, image, x, y)
    rich.print(_table(found, predictor.classes))
    figure = explanation_figure(found, predictor.classes, predictor.colors)
    with atomic_open(output) as file:
        figure.savefig(file, format="png")
    print(f"picture: {short(output)}")


def _pixel(given: Any) -> tuple[int, int]:
    parts = given if isinstance(given, list) else str(given).strip("()[] ").split(",")
    if len(parts) != 2 or not all(re.fullmatch(r"\s*\d+\s*", str(part)) for part in parts):
        raise InputError(f"pixel={given} must be column and row, such as pixel=120,80")
    return int(parts[0]), int(parts[1])


def _table(found: Any, classes: Any) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from pyg_mllc.inference.explain import class_shares

    def told(belief: Any) -> str:
        share, label = belief.max(0)
        return f"{classes[int(label)]} {100 * float(share):.1f}"

    def listed(shares: Any) -> str:
        top = shares.topk(min(3, len(classes)))
        pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        return ", ".join(f"{classes[c]} {share:.2f}" for share, c in pairs if share >= 0.005)

    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for column in ("", "label (%)", "heeds", "neighbors by label", "anchors", "agree"):
        table.add_column(column)
    for name, belief in list(found.path.items())[: -len(found.rounds)]:
        anchors = listed(found.evidence) if name == "with anchors" else ""
        table.add_row(*map(Text, (name, told(belief), "", "", anchors, "")))
    for number, view in enumerate(found.rounds, start=1):
        own, other = class_shares(view, len(classes))
        agree = f"{int((view.agreement > 0).sum())} pixels"
        heeds = f"{view.heed:.2f}" + (", trusted" if view.trusted else "")
        row = (f"round {number}", told(view.after), heeds, listed(own), listed(other), agree)
        table.add_row(*map(Text, row))
    return table
