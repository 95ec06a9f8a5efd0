"""Explanation of a label: neighbors of the pixel in both graphs, and the effect of each round."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.data.image_io import as_tensor
from pyg_mllc.errors import InputError
from pyg_mllc.inference.predictor import Predictor
from pyg_mllc.nn import CorrectionOutput, RoundTrace
from pyg_mllc.typing import ImageLike
from pyg_mllc.utils.resize import upsample

ROUNDING = 1e-4  # of logits, which is no evidence


class RoundView(NamedTuple):
    """Round of correction as one node sees it; nodes are h * w pixels, row by row."""

    before: Tensor  # (C,), probabilities of the node before the round
    after: Tensor  # (C,), and after it
    label: Tensor  # (h, w), labels of all nodes before the round
    is_confident: bool  # whether it mostly keeps its label
    neighbor_weight: float  # of the neighbors' opinion, 0..1
    neighbors: Tensor  # (M,), nodes that look like it, the node itself among them
    weight: Tensor  # (M,), of each; together what the opinion is made of
    anchors: Tensor  # (A,), classes of pixels of other images that look like it
    anchor_weight: Tensor  # (A,)
    agreement: Tensor  # (h, w), weights in the class-level graph, over which features flow


class Explanation(NamedTuple):
    """The label of one pixel, round by round."""

    image: Tensor  # (3, H, W) in [0, 1]
    pixel: tuple[int, int]  # x, y
    node: tuple[int, int]  # row and column of the node that it belongs to
    before: Tensor  # (C,), probabilities of the node before correction
    rounds: list[RoundView]
    classes: tuple[str, ...]  # names
    evidence: Tensor | None  # (C,), added to the logits before the first round, of mean 0

    @property
    def path(self) -> dict[str, Tensor]:
        """Probabilities `(C,)` of the node before correction and after each step, by name."""
        evidence = {} if self.evidence is None else {"with evidence": self.rounds[0].before}
        rounds = {f"round {n}": view.after for n, view in enumerate(self.rounds, start=1)}
        return {"before": self.before, **evidence, **rounds}


@torch.no_grad()
def explain(predictor: Predictor, image: ImageLike, x: int, y: int) -> Explanation:
    """Trace the label of a pixel through the rounds of correction.

    The image is seen whole, at the scale that training saw; the pixel's node is one of the map at
    which labels are corrected.

    Args:
        predictor: whose network corrects, of `load`.
        image: in any form that `as_tensor` takes.
        x: column of the pixel, from 0.
        y: row of the pixel, from 0.

    Returns:
        The label of its node before correction and after each round, with neighbors and weights.

    Raises:
        InputError: if the pixel lies outside, or the network has no rounds of correction.
    """
    picture = as_tensor(image)
    height, width = picture.shape[-2:]
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(
            f"pixel={x},{y} lies outside the image, which has {width} columns and {height} rows"
        )
    if not len(predictor.corrector.rounds):
        raise InputError("this network was trained without rounds of correction to explain")
    output: CorrectionOutput = predictor.network(
        predictor.fitted(picture[None]), predictor.memory, trace=True
    )
    h, w = output.after.features.shape[-2:]
    node = min(y * h // height, h - 1), min(x * w // width, w - 1)
    views = [_view(trace, node[0] * w + node[1], (h, w)) for trace in output.trace]
    before = F.interpolate(output.before.logits, (h, w), mode="area")[0, :, *node]
    added = output.trace[0].before[node[0] * w + node[1]] - before
    evidence = added - added.mean() if (added - added.mean()).abs().max() > ROUNDING else None
    classes = tuple(predictor.classes)
    return Explanation(picture, (x, y), node, before.softmax(0), views, classes, evidence)


def _view(trace: RoundTrace, node: int, size: tuple[int, int]) -> RoundView:
    """Return a round as one node saw it."""
    n, label, graph = len(trace.before), trace.before.argmax(1), trace.graph
    source = weight = classes = anchor_weight = trace.before.new_zeros(0)
    source, classes = source.long(), classes.long()
    if graph is not None:
        edges = graph.edge_index[1] == node
        source, weight = graph.edge_index[0][edges], graph.edge_weight[edges]
        is_anchor = source >= n
        if "fixed" in graph:
            classes = graph.fixed[source[is_anchor] - n].argmax(1)
        anchor_weight = weight[is_anchor]
        source, weight = source[~is_anchor], weight[~is_anchor]
        order = weight.argsort(descending=True)
        source, weight = source[order], weight[order]
    agreement = trace.before.new_zeros(n)
    if trace.hubs is not None:
        agreement = trace.hubs.weights_to(node)
    return RoundView(
        before=trace.before[node].softmax(0),
        after=trace.after[node].softmax(0),
        label=label.view(size),
        is_confident=bool(trace.trust[node] > 0.5),
        neighbor_weight=float(trace.neighbor_weight[node]),
        neighbors=source,
        weight=weight,
        anchors=classes,
        anchor_weight=anchor_weight,
        agreement=agreement.view(size),
    )


def class_shares(view: RoundView, num_classes: int) -> tuple[Tensor, Tensor]:
    """Compute the class distribution of the neighbors and of the anchors of a node.

    Args:
        view: a round as the node sees it.
        num_classes: C.

    Returns:
        Shares of neighbors and of anchors, `(C,)` each; together they sum to 1.
    """
    own = torch.zeros(num_classes, device=view.weight.device)
    other = own.clone()
    own.index_add_(0, view.label.flatten()[view.neighbors], view.weight)
    other.index_add_(0, view.anchors, view.anchor_weight)
    total = (own.sum() + other.sum()).clamp(min=1e-12)
    return own / total, other / total


def spread(view: RoundView, size: tuple[int, int]) -> Tensor:
    """Resize the weights in the class-level graph, and scale their maximum to 1.

    Args:
        view: a round as the node sees it.
        size: height and width (H, W).

    Returns:
        `(H, W)`.
    """
    full = upsample(view.agreement[None, None].float(), size)[0, 0]
    return full / full.max().clamp(min=1e-12)
