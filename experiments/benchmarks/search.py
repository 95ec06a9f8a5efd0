"""Approximate against exact nearest neighbors on real embeddings: recall and time.

MLLC_DATA=... python -m experiments.benchmarks.search
"""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.benchmarks.embeddings import predict
from experiments.benchmarks.measure import measure
from graphs import approximate_search, exact_search, maps_to_nodes
from graphs.search import Search

HERE = Path(__file__).parent
K = 20
SIDE = 193  # 193 x 193 = 37,249 pixels


def faiss_search(
    query: Tensor, x: Tensor, k: int, itself: bool, metric: str, *, index: str, probes: int
) -> tuple:
    """The index of a well-kept library, as PyG's `KNNIndex` uses it."""
    import faiss

    built = faiss.index_factory(x.size(1), index, faiss.METRIC_INNER_PRODUCT)
    built.train(x.numpy())
    built.add(x.numpy())
    faiss.ParameterSpace().set_index_parameter(
        built, "nprobe" if "IVF" in index else "efSearch", probes
    )
    similarity, indices = built.search(query.numpy(), k + 1)
    return torch.from_numpy(indices), torch.from_numpy(similarity)


SEARCHES: dict[str, Search] = {
    "exact": exact_search,
    **{f"cells, {p} of 193 probed": partial(approximate_search, probes=p) for p in (4, 8, 16, 32)},
    **{
        f"faiss IVF193, {p} probed": partial(faiss_search, index="IVF193,Flat", probes=p)
        for p in (4, 8, 16)
    },
    **{
        f"faiss HNSW16, ef {e}": partial(faiss_search, index="HNSW16,Flat", probes=e)
        for e in (32, 64)
    },
}


def prepare(name: str) -> Callable[[], Any]:
    """One search over the pixels of one CamVid image."""
    x = F.normalize(maps_to_nodes(predict(SIDE, SIDE)[0].features)[0]).contiguous()
    return lambda: SEARCHES[name](x, x, K, True, "cosine")[0]


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
                print(f"{name}: skipped, {error}; pip install 'pyg_mllc[ann]'")
                continue
            found = f"{recall(it.result, exact.result):.4f}"
            row = [name, SIDE**2, f"{it.seconds:.3f}", f"{exact.seconds / it.seconds:.2f}", found]
            writer.writerow(row)
            print(*row, sep="  ", flush=True)


if __name__ == "__main__":
    main()
