"""Graphs over the pixels of feature maps, for PyTorch Geometric.

Two graphs join the nodes of an image, never those of two images: the *semantic-level* graph joins
nodes whose features look alike, the *class-level* graph nodes that agree on their label. *Anchors*
are nodes of other images whose labels are known. Needs torch and torch_geometric, and knows
nothing of segmentation networks.
"""

import warnings

with warnings.catch_warnings():
    # torch_geometric warns of its own use of torch.jit.script, which no user of ours can mend.
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
    import torch_geometric.data  # noqa: F401

from graphs.anchor_memory import AnchorMemory
from graphs.anchors import anchor_evidence, anchor_graph, join_features
from graphs.class_level import ClassLevelGraph, class_graph
from graphs.hubs import ClassHubs, class_hubs
from graphs.knn.index import NeighborIndex, Neighbors, automatic_search
from graphs.knn.ivf import CellSearch
from graphs.knn.neighbors import nearest_neighbors
from graphs.knn.search import ExactSearch
from graphs.maps import batch_to_maps, maps_to_nodes, nodes_to_maps, pixel_batch
from graphs.propagate import propagate, random_walk_norm, symmetric_norm
from graphs.sampling import sample_nodes, spread_sample
from graphs.semantic_level import (
    SemanticLevelGraph,
    cosine_affinity,
    gaussian_affinity,
    semantic_graph,
)

__all__ = [
    "AnchorMemory",
    "CellSearch",
    "ClassHubs",
    "ClassLevelGraph",
    "ExactSearch",
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
    "maps_to_nodes",
    "nearest_neighbors",
    "nodes_to_maps",
    "pixel_batch",
    "propagate",
    "random_walk_norm",
    "sample_nodes",
    "semantic_graph",
    "spread_sample",
    "symmetric_norm",
]
