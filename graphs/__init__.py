"""Graphs over the pixels of feature maps, for PyTorch Geometric.

Two graphs join the nodes of an image, never those of two images: the *semantic-level* graph joins
nodes whose features look alike, the *class-level* graph nodes that agree on their label. Needs
torch and torch_geometric, and knows nothing of segmentation networks.
"""

from graphs.class_level import ClassHubs, class_hubs
from graphs.neighbors import Neighbors, nearest_neighbors
from graphs.pixels import maps_to_nodes, nodes_to_maps
from graphs.propagate import propagate, symmetric_norm
from graphs.semantic import semantic_graph

__all__ = [
    "ClassHubs",
    "Neighbors",
    "class_hubs",
    "maps_to_nodes",
    "nearest_neighbors",
    "nodes_to_maps",
    "propagate",
    "semantic_graph",
    "symmetric_norm",
]
