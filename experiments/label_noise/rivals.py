"""Other correctors of masks: PyG models on the same graph, a dense CRF, a majority filter."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn.models import CorrectAndSmooth, LabelPropagation

from graphs import AnchorMemory, anchor_graph
from pyg_mllc.nn.label_graph import add_anchors, label_graph

K = 20


def majority(logits: Tensor, size: int = 7) -> Tensor:
    """Return the most common label `(H, W)` in a window around each pixel of `(C, H, W)`."""
    votes = F.one_hot(logits.argmax(0), len(logits)).permute(2, 0, 1).float()
    return F.avg_pool2d(votes[None], size, 1, size // 2)[0].argmax(0)


def dense_crf(logits: Tensor, image: Tensor, extent: float = 80) -> Tensor:
    """Correct by a fully connected CRF (Krähenbühl and Koltun, 2011), with settings of DeepLab.

    Those are for images of 500 pixels; a smaller `extent` in pixels suits smaller ones.
    """
    import pydensecrf.densecrf as dcrf
    from pydensecrf.utils import unary_from_softmax

    classes, height, width = logits.shape
    model = dcrf.DenseCRF2D(width, height, classes)
    model.setUnaryEnergy(unary_from_softmax(logits.softmax(0).numpy()))
    model.addPairwiseGaussian(sxy=3, compat=3)
    rgb = np.ascontiguousarray(image.permute(1, 2, 0).numpy().astype(np.uint8))
    model.addPairwiseBilateral(sxy=extent, srgb=13, rgbim=rgb, compat=10)
    return torch.from_numpy(np.array(model.inference(10))).view_as(logits).argmax(0)


def label_propagation(logits: Tensor, x: Tensor, anchors: AnchorMemory | None = None) -> Tensor:
    """Correct by PyG's `LabelPropagation` over the corrector's graph."""
    y, graph = _labels_and_graph(logits, x, anchors)
    propagate = LabelPropagation(num_layers=10, alpha=0.9)
    post_step = _keep(y, len(x))
    out = propagate(y, graph.edge_index, edge_weight=graph.edge_weight, post_step=post_step)
    return out[: len(x)].argmax(1).view(logits.shape[1:])


def correct_and_smooth(logits: Tensor, x: Tensor, anchors: AnchorMemory, opinion: Tensor) -> Tensor:
    """Correct by PyG's `CorrectAndSmooth` (Huang et al., 2021), with labels of anchors known.

    `opinion (M, C)` is what the source of the labels says of the anchors: its errors there are what
    is spread. Known nodes stay what they are in both steps, for nothing flows to anchors.
    """
    y, graph = _labels_and_graph(logits, x, anchors)
    known = torch.arange(len(y)) >= len(x)
    model = CorrectAndSmooth(10, 0.9, 10, 0.9, autoscale=False)
    guess = torch.cat([y[~known], opinion.softmax(1)[graph.used]])
    corrected = model.correct(guess, y[known].argmax(1), known, graph.edge_index, graph.edge_weight)
    mixed = torch.where(known[:, None], y, corrected)
    weight, post_step = graph.edge_weight, _keep(y, len(x))
    out = model.prop2(mixed, graph.edge_index, edge_weight=weight, post_step=post_step)
    return out[: len(x)].argmax(1).view(logits.shape[1:])


def _keep(y: Tensor, n: int) -> Callable[[Tensor], Tensor]:
    """Return a function that restores the labels of anchors, the nodes from n on."""
    return lambda out: torch.cat([out[:n], y[n:]])


def _labels_and_graph(
    logits: Tensor, x: Tensor, anchors: AnchorMemory | None
) -> tuple[Tensor, Data]:
    """Return probabilities of pixels and anchors, and the graph over both."""
    y = logits.flatten(1).T.softmax(1)
    graph = label_graph([x], torch.zeros(len(x), dtype=torch.long), K)
    if anchors is None:
        return y, graph
    edges = anchor_graph(x, anchors, K, temperature=0.2)
    graph = add_anchors(graph, edges, anchors.label, y.size(1), share=0.5)
    graph.used = edges["anchor", "tells", "pixel"].edge_index[0].unique()
    return torch.cat([y, graph.fixed.softmax(1)]), graph
