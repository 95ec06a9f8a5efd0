"""Why a pixel has its label: its neighbors in both graphs, and what each round made of it."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.data.image_io import as_tensor
from pyg_mllc.errors import InputError
from pyg_mllc.inference.predictor import Predictor
from pyg_mllc.nn import trust
from pyg_mllc.typing import ImageLike
from pyg_mllc.utils.resize import upsample


class RoundView(NamedTuple):
    """One round of correction, as one node sees it; nodes are h * w pixels, row by row."""

    before: Tensor  # (C,), probabilities of the node before the round
    after: Tensor  # (C,), and after it
    label: Tensor  # (h, w), labels of all nodes before the round
    trusted: bool  # whether it is confident enough to listen little
    heed: float  # weight of the neighbors' opinion, 0..1
    neighbors: Tensor  # (M,), nodes that look like it, the node itself among them
    weight: Tensor  # (M,), of each; together what the opinion is made of
    anchors: Tensor  # (A,), classes of pixels of other images that look like it
    anchor_weight: Tensor  # (A,)
    agreement: Tensor  # (h, w), weights in the class-level graph, over which features flow


class Explanation(NamedTuple):
    """What became of one pixel."""

    image: Tensor  # (3, H, W) in [0, 1]
    pixel: tuple[int, int]  # x, y
    node: tuple[int, int]  # row and column of the node that it belongs to
    believed: Tensor  # (C,), probabilities that the network gives the node by itself
    rounds: list[RoundView]

    @property
    def evidence(self) -> Tensor | None:
        """Share of each class `(C,)` in what anchors tell by Bayes' rule, before the rounds."""
        first = self.rounds[0].before
        if torch.allclose(first, self.believed, atol=1e-5):
            return None
        factor = first / self.believed.clamp(min=torch.finfo(first.dtype).tiny)
        return factor / factor.sum()

    @property
    def path(self) -> dict[str, Tensor]:
        """Probabilities `(C,)` of the node, from the network's own to those of the last round."""
        told = {} if self.evidence is None else {"with anchors": self.rounds[0].before}
        rounds = {f"round {n}": view.after for n, view in enumerate(self.rounds, start=1)}
        return {"before": self.believed, **told, **rounds}


@torch.no_grad()
def explain(predictor: Predictor, image: ImageLike, x: int, y: int) -> Explanation:
    """Follow a pixel through the rounds of correction.

    The image is seen whole, at the scale that training saw; the pixel's node is one of the map at
    which labels are corrected.

    Args:
        predictor: whose network corrects, of `load`.
        image: in any form that `as_tensor` takes.
        x: column of the pixel, from 0.
        y: row of the pixel, from 0.

    Raises:
        InputError: if the pixel lies outside, or the network has no rounds of correction.
    """
    picture = as_tensor(image)
    height, width = picture.shape[-2:]
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(
            f"pixel={x},{y} lies outside the image, which has {width} columns and {height} rows"
        )
    network = predictor.seeing
    if not len(network.corrector.rounds):
        raise InputError("this network was trained without rounds of correction to explain")
    seen: list[tuple[Any, Any, Any]] = []

    def watch(module: Any, given: Any, made: Any) -> None:
        seen.append((module, given, made))

    hooks = [step.register_forward_hook(watch) for step in set(network.corrector.rounds)]
    try:
        history = predictor.method.predict(network, predictor.fitted(picture[None]))
    finally:
        for hook in hooks:
            hook.remove()
    h, w = history[-1].features.shape[-2:]
    node = min(y * h // height, h - 1), min(x * w // width, w - 1)
    views = [_view(*one, node[0] * w + node[1], (h, w)) for one in seen]
    believed = F.interpolate(history[0].logits, (h, w), mode="area")[0, :, *node].softmax(0)
    return Explanation(picture, (x, y), node, believed, views)


def _view(step: Any, given: Any, made: Any, node: int, size: tuple[int, int]) -> RoundView:
    logits, _, batch, graph, eta = given
    n, label = len(logits), logits.argmax(1)
    sure = bool(trust(logits, step.threshold, eta, step.smooth)[node] > 0.5)
    heed = 0.0 if graph is None else float(step.neighbor_weight(logits, eta)[node])
    source = weight = classes = anchor_weight = logits.new_zeros(0)
    source, classes = source.long(), classes.long()
    if graph is not None:
        mine = graph.edge_index[1] == node
        source, weight = graph.edge_index[0][mine], graph.edge_weight[mine]
        foreign = source >= n
        if "fixed" in graph:
            classes = graph.fixed[source[foreign] - n].argmax(1)
        anchor_weight = weight[foreign]
        source, weight = source[~foreign], weight[~foreign]
        order = weight.argsort(descending=True)
        source, weight = source[order], weight[order]
    agreement = logits.new_zeros(n)
    if step.class_level:
        agreement = step.hubs(made[0], label, batch).weights_to(node)
    return RoundView(
        logits[node].softmax(0), made[0][node].softmax(0), label.view(size), sure, heed,
        source, weight, classes, anchor_weight, agreement.view(size),
    )  # fmt: skip


def class_shares(view: RoundView, num_classes: int) -> tuple[Tensor, Tensor]:
    """Shares of labels in the neighbors' say, two times `(C,)`: of the image, and of anchors."""
    own = torch.zeros(num_classes, device=view.weight.device)
    other = own.clone()
    own.index_add_(0, view.label.flatten()[view.neighbors], view.weight)
    other.index_add_(0, view.anchors, view.anchor_weight)
    total = (own.sum() + other.sum()).clamp(min=1e-12)
    return own / total, other / total


def spread(view: RoundView, size: tuple[int, int]) -> Tensor:
    """Give the weights in the class-level graph at another size `(H, W)`, the largest at 1."""
    full = upsample(view.agreement[None, None].float(), size)[0, 0]
    return full / full.max().clamp(min=1e-12)
