"""Build both graphs and propagate once: time and memory, sparse against dense.

All forms get the same input and must give the same output, to 1e-4.

python -m experiments.benchmarks.graphs
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from experiments.benchmarks.measure import measure
from experiments.benchmarks.published import dense_as_published, dense_tuned
from experiments.keep import keep
from graphs import class_hubs, nearest_neighbors, propagate, semantic_graph, symmetric_norm

HERE = Path(__file__).parent
SIZES = (1_681, 4_225, 9_409, 37_249)
DIM, CLASSES = 256, 21


def inputs(n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Build logits, features and labels of n pixels: noisy blobs without ties.

    Where a 20th and a 21st neighbor are equally near to float32's last digits, each order of
    summation chooses its own: such pixels are drawn again until there are none.
    """
    generator = torch.Generator().manual_seed(n + seed)
    truth = torch.arange(n) * 40 // n % CLASSES
    center = torch.randn(CLASSES, DIM, generator=generator)
    f = center[truth] + torch.randn(n, DIM, generator=generator)
    while len(tied := _ties(f)):
        f[tied] = center[truth[tied]] + torch.randn(len(tied), DIM, generator=generator)
    z = 3 * torch.eye(CLASSES)[truth] + torch.randn(n, CLASSES, generator=generator)
    return z, f, z.argmax(1)


def _ties(f: Tensor, k: int = 20, gap: float = 1e-6) -> Tensor:
    similarity = nearest_neighbors(f, k + 1).similarity
    return (similarity[:, k - 1] - similarity[:, k] < gap).nonzero().flatten()


def sparse(z: Tensor, f: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Build both graphs in the library's form, and propagate."""
    graph = semantic_graph(f)
    weight = symmetric_norm(graph.edge_index, graph.edge_weight, len(f))
    return propagate(graph.edge_index, weight, z), class_hubs(z, label).propagate(f)


FORMS = {"dense as published": dense_as_published, "dense, tuned": dense_tuned, "sparse": sparse}
LARGEST_DENSE = 9_409  # pixels


def prepare(form: str, n: int) -> Callable[[], Any]:
    """Prepare both graphs of n pixels in one of the forms."""
    arguments = inputs(n)
    return lambda: FORMS[form](*arguments)


HEADER = (
    "what", "pixels", "seconds", "megabytes", "times_slower_than_sparse", "largest_difference",
)  # fmt: skip


def rows() -> Iterator[tuple]:
    """Measure all forms at all sizes; compare every result with the sparse one."""
    for n in SIZES:
        ours = measure(prepare, "sparse", n)
        dense = {}
        for form in ("dense as published", "dense, tuned"):
            if n <= LARGEST_DENSE:
                slow = n > 5_000 and form == "dense as published"
                dense[form] = measure(prepare, form, n, repeats=1 if slow else 3, warmup=not slow)
        for form, it in {"sparse": ours, **dense}.items():
            pairs = zip(it.result, ours.result, strict=True)
            difference = max(float((a - b).abs().max()) for a, b in pairs)
            assert difference < 1e-4, f"{form}, N = {n}: differs from sparse by {difference}"
            cost = f"{it.seconds:.4g}", f"{it.megabytes:.0f}", f"{it.seconds / ours.seconds:.3g}"
            yield form, n, *cost, f"{difference:.1e}"


def draw(table: list[dict[str, Any]]) -> Figure:
    """Draw time and memory against the number of pixels, on logarithmic axes."""
    figure = Figure((9, 3.8), dpi=150, layout="constrained")
    for axis, key, unit in zip(
        figure.subplots(1, 2),
        ("seconds", "megabytes"),
        ("seconds", "extra memory (MB)"),
        strict=True,
    ):
        for form, color in zip(FORMS, ("#d55e00", "#e69f00", "#0072b2"), strict=True):
            points = [(r["pixels"], float(r[key])) for r in table if r["what"] == form]
            axis.loglog(*np.transpose(points), "o-", color=color, label=form)
        axis.set(xlabel="pixels N", ylabel=unit)
        axis.set_xticks(SIZES, [f"{n:,}" for n in SIZES], fontsize=8)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.grid(alpha=0.3, which="both")
        axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    """Measure, print, and write `graphs.csv` and `graphs.png`."""
    table = keep(HERE / "graphs.csv", HEADER, rows())
    draw([dict(zip(HEADER, row, strict=True)) for row in table]).savefig(HERE / "graphs.png")


if __name__ == "__main__":
    main()
