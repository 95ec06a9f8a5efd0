"""Time each step of both graphs, against the matrix product of the search.

All steps run in turns in one process, so that each ratio is one of its own neighbors in time.

python -m experiments.benchmarks.stages
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from experiments.benchmarks.graphs import SIZES, inputs
from experiments.keep import keep
from graphs import (
    class_hubs,
    cosine_affinity,
    nearest_neighbors,
    propagate,
    semantic_graph,
    symmetric_norm,
)
from graphs.semantic_level import _symmetric_edges

HERE = Path(__file__).parent


def stages(n: int) -> dict[str, Callable[[], Any]]:
    """Return the steps that `graphs.sparse` consists of, and the bare product."""
    z, f, label = inputs(n)
    unit = F.normalize(f)
    neighbors, graph = nearest_neighbors(f, 20), semantic_graph(f)
    weight = symmetric_norm(graph.edge_index, graph.edge_weight, n)
    hubs = class_hubs(z, label)

    def product() -> None:
        block = unit.new_empty(512, n)
        for rows in unit.split(512):
            torch.mm(rows, unit.T, out=block[: len(rows)])

    return {
        "bare matrix product": product,
        "exact search": lambda: nearest_neighbors(f, 20),
        "symmetric edges": lambda: _symmetric_edges(
            neighbors.indices, cosine_affinity(neighbors.similarity)
        ),
        "symmetric normalization": lambda: symmetric_norm(graph.edge_index, graph.edge_weight, n),
        "labels over the semantic graph": lambda: propagate(graph.edge_index, weight, z),
        "class hubs": lambda: class_hubs(z, label),
        "features over the class hubs": lambda: hubs.propagate(f),
    }


HEADER = ("pixels", "step", "milliseconds", "of_the_search", "of_the_product")


def measure_stages(n: int, repeats: int) -> list[tuple]:
    """Return median milliseconds of each step, and its ratio to the search in the same turn."""
    steps = stages(n)
    turns = []
    for _ in range(repeats + 1):
        turn = {}
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            turn[name] = time.perf_counter() - begun
        turns.append(turn)
    turns = turns[1:]  # the first warms up
    rest = [name for name in turns[0] if name not in ("bare matrix product", "exact search")]
    for turn in turns:
        turn["all but the search"] = sum(turn[name] for name in rest)
    return [
        (
            n,
            name,
            f"{1000 * statistics.median(t[name] for t in turns):.4g}",
            f"{statistics.median(t[name] / t['exact search'] for t in turns):.3f}",
            f"{statistics.median(t[name] / t['bare matrix product'] for t in turns):.3f}",
        )
        for name in turns[0]
    ]


def main() -> None:
    """Measure, print, and write `stages.csv`."""
    rows = (row for n in SIZES for row in measure_stages(n, repeats=15 if n < 20_000 else 5))
    keep(HERE / "stages.csv", HEADER, rows)


if __name__ == "__main__":
    main()
