"""Compare approximate with exact nearest neighbors on real embeddings: recall and time.

MLLC_DATA=... python -m experiments.benchmarks.search
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.benchmarks.embeddings import predict
from experiments.benchmarks.measure import measure
from experiments.keep import keep
from graphs import ExactSearch, IVFSearch, maps_to_nodes, nearest_neighbors
from graphs.knn import Metric, SearchFactory, SearchResult

HERE = Path(__file__).parent
K = 20
SIDE = 193  # 193 x 193 = 37,249 pixels


class FaissSearch:
    """Search with an index of Faiss, as PyG's `KNNIndex` uses it."""

    def __init__(self, x: Tensor, metric: Metric, *, index: str, probes: int) -> None:
        import faiss

        self.x = x
        self.index = faiss.index_factory(x.size(1), index, faiss.METRIC_INNER_PRODUCT)
        self.index.train(x.numpy())
        self.index.add(x.numpy())
        option = "nprobe" if "IVF" in index else "efSearch"
        faiss.ParameterSpace().set_index_parameter(self.index, option, probes)

    def __call__(self, query: Tensor | None, k: int, hidden: Tensor | None = None) -> SearchResult:
        """Return neighbors without the node itself, which Faiss finds, too."""
        assert query is None
        similarity, indices = map(torch.from_numpy, self.index.search(self.x.numpy(), k + 1))
        itself = indices == torch.arange(len(indices))[:, None]
        order = itself.int().argsort(dim=1, stable=True)[:, :k]  # itself last, wherever it came
        return indices.gather(1, order), similarity.gather(1, order)


SEARCHES: dict[str, SearchFactory] = {
    "exact": ExactSearch,
    **{f"cells, {p} of 193 probed": partial(IVFSearch, nprobe=p) for p in (4, 8, 12, 16, 32)},
    **{
        f"faiss IVF193, {p} probed": partial(FaissSearch, index="IVF193,Flat", probes=p)
        for p in (2, 4, 8, 16)
    },
    **{
        f"faiss HNSW16, ef {e}": partial(FaissSearch, index="HNSW16,Flat", probes=e)
        for e in (16, 32, 64)
    },
}


def embeddings(source: str) -> Tensor:
    """Return pixels of a CamVid image, or points around 600 centers (24 of 256 dimensions vary)."""
    if source != "clusters":
        return maps_to_nodes(predict(SIDE, SIDE, int(source.split()[-1]))[0].features)[0]
    generator = torch.Generator().manual_seed(0)
    center = torch.randn(600, 24, generator=generator)
    noise = torch.randn(SIDE**2, 24, generator=generator)
    point = center[torch.randint(600, (SIDE**2,), generator=generator)] + 0.7 * noise
    return point @ torch.randn(24, 256, generator=generator)


def prepare(name: str, source: str) -> Callable[[], Any]:
    """Prepare one search among the pixels; building its index is part of the time."""
    x = embeddings(source)
    return lambda: nearest_neighbors(x, K, search=SEARCHES[name]).indices


def recall(found: Tensor, truth: Tensor) -> float:
    """Compute the share of true neighbors that were found."""
    parts = zip(found.split(1024), truth.split(1024), strict=True)
    return float(torch.cat([(f[:, None] == t[..., None]).any(2) for f, t in parts]).float().mean())


def rows() -> Iterator[list]:
    """Measure all searches; skip those that are not installed."""
    for source in ("CamVid image 0", "clusters"):
        exact = measure(prepare, "exact", source, repeats=3)
        for name in SEARCHES:
            try:
                it = exact if name == "exact" else measure(prepare, name, source, repeats=3)
            except ModuleNotFoundError as error:
                print(f"{name}: skipped, {error}; pip install faiss-cpu brings it")
                continue
            share = f"{recall(it.result, exact.result):.4f}"
            times = f"{it.seconds:.3f}", f"{exact.seconds / it.seconds:.2f}"
            yield [source, name, SIDE**2, *times, share]


def main() -> None:
    """Measure, print, and write `search.csv`."""
    header = ["data", "search", "pixels", "seconds", "times_faster_than_exact", "recall_at_20"]
    keep(HERE / "search.csv", header, rows())


if __name__ == "__main__":
    main()
