"""Approximate against exact nearest neighbors on real embeddings: recall and time.

MLLC_DATA=... python -m experiments.benchmarks.search
"""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.benchmarks.embeddings import predict
from experiments.benchmarks.measure import measure
from graphs import CellSearch, ExactSearch, maps_to_nodes, nearest_neighbors
from graphs.search import Found, MakeSearch, Metric

HERE = Path(__file__).parent
K = 20
SIDE = 193  # 193 x 193 = 37,249 pixels


class FaissSearch:
    """The index of a well-kept library, as PyG's `KNNIndex` uses it."""

    def __init__(self, x: Tensor, metric: Metric, *, index: str, probes: int) -> None:
        import faiss

        self.x = x
        self.index = faiss.index_factory(x.size(1), index, faiss.METRIC_INNER_PRODUCT)
        self.index.train(x.numpy())
        self.index.add(x.numpy())
        option = "nprobe" if "IVF" in index else "efSearch"
        faiss.ParameterSpace().set_index_parameter(self.index, option, probes)

    def __call__(self, query: Tensor | None, k: int) -> Found:
        """Each node finds itself first."""
        assert query is None
        similarity, indices = self.index.search(self.x.numpy(), k + 1)
        return torch.from_numpy(indices[:, 1:]), torch.from_numpy(similarity[:, 1:])


SEARCHES: dict[str, MakeSearch] = {
    "exact": ExactSearch,
    **{f"cells, {p} of 193 probed": partial(CellSearch, probes=p) for p in (4, 8, 12, 16, 32)},
    **{
        f"faiss IVF193, {p} probed": partial(FaissSearch, index="IVF193,Flat", probes=p)
        for p in (2, 4, 8, 16)
    },
    **{
        f"faiss HNSW16, ef {e}": partial(FaissSearch, index="HNSW16,Flat", probes=e)
        for e in (16, 32, 64)
    },
}


def prepare(name: str) -> Callable[[], Any]:
    """One search over the pixels of one CamVid image."""
    x, _ = maps_to_nodes(predict(SIDE, SIDE)[0].features)
    return lambda: nearest_neighbors(x, K, search=SEARCHES[name]).indices


def recall(found: Tensor, truth: Tensor) -> float:
    """Share of the true neighbors that were found."""
    parts = zip(found.split(1024), truth.split(1024), strict=True)
    return float(torch.cat([(f[:, None] == t[..., None]).any(2) for f, t in parts]).float().mean())


def main() -> None:
    """Measure, print, and write `search.csv`."""
    exact = measure(prepare, "exact", repeats=3)
    with open(HERE / "search.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["search", "pixels", "seconds", "times_faster_than_exact", "recall_at_20"])
        for name in SEARCHES:
            try:
                it = exact if name == "exact" else measure(prepare, name, repeats=3)
            except ModuleNotFoundError as error:
                print(f"{name}: skipped, {error}; pip install faiss-cpu brings it")
                continue
            found = f"{recall(it.result, exact.result):.4f}"
            row = [name, SIDE**2, f"{it.seconds:.3f}", f"{exact.seconds / it.seconds:.2f}", found]
            writer.writerow(row)
            print(*row, sep="  ", flush=True)


if __name__ == "__main__":
    main()
