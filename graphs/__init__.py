"""Graphs over the pixels of feature maps, for PyTorch Geometric.

Two graphs join nodes of the same image: the *semantic-level* graph joins nodes with similar
features, the *class-level* graph nodes that agree on their label. *Anchors* are labeled nodes of
other images. The package needs torch and torch_geometric only, and no segmentation network.
"""

import warnings

with warnings.catch_warnings():
    # torch_geometric warns of its own use of torch.jit.script, which users cannot change.
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
    import torch_geometric.data  # noqa: F401

from graphs.anchor_memory import AnchorMemory
from graphs.anchors import anchor_evidence, anchor_graph, join_features
from graphs.class_gaussians import ClassGaussians, Discriminant
from graphs.class_level import ClassHubs, class_graph, class_hubs
from graphs.knn import (
    ExactSearch,
    IVFSearch,
    NeighborIndex,
    Neighbors,
    automatic_search,
    nearest_neighbors,
)
from graphs.maps import batch_to_maps, maps_to_nodes, nodes_to_maps, pixel_batch
from graphs.propagate import propagate, random_walk_norm, symmetric_norm
from graphs.sampling import knn_interpolate, sample_nodes
from graphs.semantic_level import cosine_affinity, gaussian_affinity, semantic_graph
from graphs.transforms import ClassLevelGraph, SemanticLevelGraph

__all__ = [
    "AnchorMemory",
    "ClassGaussians",
    "ClassHubs",
    "ClassLevelGraph",
    "Discriminant",
    "ExactSearch",
    "IVFSearch",
    "NeighborIndex",
    "Neighbors",
    "SemanticLevelGraph",
    "anchor_evidence",
    "anchor_graph",
    "automatic_search",
    "batch_to_maps",
    "class_graph",
    "class_hubs",
    "cosine_affinity",
    "gaussian_affinity",
    "join_features",
    "knn_interpolate",
    "maps_to_nodes",
    "nearest_neighbors",
    "nodes_to_maps",
    "pixel_batch",
    "propagate",
    "random_walk_norm",
    "sample_nodes",
    "semantic_graph",
    "symmetric_norm",
]
