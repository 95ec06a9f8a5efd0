"""Search neighbors among 10,000 to 1,000,000 labeled pixels: exact against approximate.

MLLC_DATA=... python -m experiments.benchmarks.anchors
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from experiments.benchmarks.embeddings import predict
from experiments.benchmarks.search import recall
from experiments.keep import keep
from graphs import AnchorMemory, ExactSearch, IVFSearch, anchor_graph, maps_to_nodes
from graphs.knn import SearchFactory

HERE = Path(__file__).parent
SEARCHES: dict[str, SearchFactory] = {
    "exact": ExactSearch,
    **{f"cells, {p} probed": partial(IVFSearch, nprobe=p) for p in (4, 8, 16)},
}


def embeddings(count: int) -> Tensor:
    """Return unit embeddings `(count, 256)` of pixels of CamVid images, in random order."""
    nodes: list[Tensor] = []
    while sum(map(len, nodes)) < count:
        image = len(nodes) + 1
        nodes.append(maps_to_nodes(predict(135, 180, image)[0].features)[0])
    every = torch.nn.functional.normalize(torch.cat(nodes))
    return every[torch.randperm(len(every), generator=torch.Generator().manual_seed(0))[:count]]


def rows() -> Iterator[tuple]:
    """Fill memories, and search the 20 nearest nodes of 2,700 pixels of another image in each."""
    query = torch.nn.functional.normalize(maps_to_nodes(predict(135, 180)[0].features)[0])
    query = query[torch.randperm(len(query), generator=torch.Generator().manual_seed(0))[:2700]]
    everything = embeddings(1_000_000)
    for size in (10_000, 100_000, 1_000_000):
        exact = None
        for name, search in SEARCHES.items():
            memory = AnchorMemory(1, 256, budget=size, search=search)
            memory.add(everything[:size], torch.zeros(size).long())
            begun = time.perf_counter()
            memory.nearest(query[:1], 20)
            prepared = time.perf_counter()
            memory.nearest(query, 20)
            graph = anchor_graph(query, memory)
            asked = (time.perf_counter() - prepared) / 2
            neighbors = graph["anchor", "pixel"].edge_index[0].view(len(query), 20)
            exact = exact or (asked, neighbors)
            times = f"{prepared - begun:.2f}", f"{asked:.3f}", f"{exact[0] / asked:.1f}"
            yield name, size, len(query), *times, f"{recall(neighbors, exact[1]):.4f}"
            del memory


def main() -> None:
    """Measure, print, and write `anchors.csv`."""
    header = (
        "search", "memory", "queries", "seconds_to_prepare", "seconds_to_ask",
        "times_faster_than_exact", "recall_at_20",
    )  # fmt: skip
    keep(HERE / "anchors.csv", header, rows())


if __name__ == "__main__":
    main()
