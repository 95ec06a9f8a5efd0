"""What else corrects masks: two PyG models on the same graph, a dense CRF, a majority filter."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn.models import CorrectAndSmooth, LabelPropagation

from graphs import AnchorMemory, anchor_graph
from pyg_mllc.nn.rounds import add_anchors, label_graph

K = 20


def majority(logits: Tensor, size: int = 7) -> Tensor:
    """The commonest label in a window around each pixel `(C, H, W)` -> `(H, W)`."""
    votes = F.one_hot(logits.argmax(0), len(logits)).permute(2, 0, 1).float()
    return F.avg_pool2d(votes[None], size, 1, size // 2)[0].argmax(0)


def dense_crf(logits: Tensor, image: Tensor) -> Tensor:
    """Fully connected CRF (Krähenbühl and Koltun, 2011) with the settings usual since DeepLab."""
    import pydensecrf.densecrf as dcrf
    from pydensecrf.utils import unary_from_softmax

    classes, height, width = logits.shape
    model = dcrf.DenseCRF2D(width, height, classes)
    model.setUnaryEnergy(unary_from_softmax(logits.softmax(0).numpy()))
    model.addPairwiseGaussian(sxy=3, compat=3)
    rgb = np.ascontiguousarray(image.permute(1, 2, 0).numpy().astype(np.uint8))
    model.addPairwiseBilateral(sxy=80, srgb=13, rgbim=rgb, compat=10)
    return torch.from_numpy(np.array(model.inference(10))).view_as(logits).argmax(0)


def label_propagation(logits: Tensor, x: Tensor, anchors: AnchorMemory | None = None) -> Tensor:
    """PyG's `LabelPropagation` over the graph that the corrector uses."""
    y, graph = _beliefs(logits, x, anchors)
    propagate = LabelPropagation(num_layers=10, alpha=0.9)
    out = propagate(y, graph.edge_index, edge_weight=graph.edge_weight)
    return out[: len(x)].argmax(1).view(logits.shape[1:])


def correct_and_smooth(logits: Tensor, x: Tensor, anchors: AnchorMemory) -> Tensor:
    """PyG's `CorrectAndSmooth` (Huang et al., 2021); its known labels are the anchors'."""
    y, graph = _beliefs(logits, x, anchors)
    known = torch.arange(len(y)) >= len(x)
    model = CorrectAndSmooth(10, 0.9, 10, 0.9, autoscale=True)
    truth = y[known].argmax(1)
    error = model.correct(y, truth, known, graph.edge_index, graph.edge_weight)
    out = model.smooth(error, truth, known, graph.edge_index, graph.edge_weight)
    return out[: len(x)].argmax(1).view(logits.shape[1:])


def _beliefs(logits: Tensor, x: Tensor, anchors: AnchorMemory | None):
    """Probabilities of pixels and anchors, and the graph over both."""
    y = logits.flatten(1).T.softmax(1)
    graph = label_graph(x, torch.zeros(len(x), dtype=torch.long), K)
    if anchors is None:
        return y, graph
    found = anchor_graph(x, anchors, K, temperature=0.2)
    graph = add_anchors(graph, found, anchors.label, y.size(1), share=0.5)
    return torch.cat([y, graph.fixed.softmax(1)]), graph
