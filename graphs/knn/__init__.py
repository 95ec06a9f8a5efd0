"""Nearest-neighbor search: exact, approximate (IVF), and in a window of pixels."""

from graphs.knn.exact import ExactSearch
from graphs.knn.index import NeighborIndex, Neighbors, automatic_search
from graphs.knn.ivf import IVFSearch
from graphs.knn.neighbors import nearest_neighbors
from graphs.knn.search import Metric, Search, SearchFactory, SearchResult
from graphs.knn.window import WindowSearch

__all__ = [
    "ExactSearch",
    "IVFSearch",
    "Metric",
    "NeighborIndex",
    "Neighbors",
    "Search",
    "SearchFactory",
    "SearchResult",
    "WindowSearch",
    "automatic_search",
    "nearest_neighbors",
]
