"""Time weighted neighbor sums, forward and backward: backends of `propagate` and others.

python -m experiments.benchmarks.sums

The backends `spmm` and `segment` need the extra `sparse`, and are skipped without it. pyg-lib is
not compared: PyPI does not have it.
"""

import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import SimpleConv

from experiments.keep import keep
from graphs import propagate

HERE = Path(__file__).parent
N, DEGREE = 18_816, 21


def message_passing(edge_index: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """Compute the sum by PyG's message passing: with torch-scatter if it is installed."""
    return SimpleConv(aggr="sum")(x, edge_index, weight)


def _ptr(target: Tensor) -> Tensor:
    return F.pad(torch.bincount(target, minlength=N).cumsum(0), (1, 0))


def torch_csr(edge_index: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """Compute the sum by torch's own sparse matrix."""
    source, target = edge_index
    return torch.sparse_csr_tensor(_ptr(target), source, weight, (N, N)) @ x


def embedding_bag(edge_index: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """Compute the sum by `embedding_bag` with torch's backward."""
    source, target = edge_index
    return F.embedding_bag(source, x, _ptr(target)[:-1], mode="sum", per_sample_weights=weight)


FORMS = {f.__name__: f for f in (message_passing, torch_csr, embedding_bag)} | {
    backend: partial(propagate, backend=backend) for backend in ("spmm", "segment", "bag")
}


def prepare(form: str, columns: int, backward: bool) -> Callable[[], Any]:
    """Build a function that computes a sum over `DEGREE` neighbors of each of N pixels."""
    warnings.filterwarnings("ignore", ".*[Ss]parse CSR")
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(N, (N * DEGREE,), generator=generator)
    edge_index = torch.stack([source, torch.arange(N).repeat_interleave(DEGREE)])
    weight = torch.rand(N * DEGREE, generator=generator)
    x = torch.randn(N, columns, generator=generator).requires_grad_(backward)

    def run() -> Tensor:
        out = FORMS[form](edge_index, weight, x)
        if not backward:
            return out
        return torch.autograd.grad(out.square().sum(), x)[0]

    return run


def measure_forms(columns: int, backward: bool, repeats: int = 15) -> dict[str, float]:
    """Return the median milliseconds of each form; all run in turns, and must be equal."""
    runs = {form: prepare(form, columns, backward) for form in FORMS}
    expected, times = runs["bag"](), defaultdict[str, list[float]](list)
    for form, run in list(runs.items()):
        try:
            assert torch.allclose(run(), expected, rtol=1e-4, atol=1e-3), form
        except ImportError as error:
            print(f"{form}: skipped, {error}")
            del runs[form]
    for form in list(runs) * repeats:
        begun = time.perf_counter()
        runs[form]()
        times[form].append(1000 * (time.perf_counter() - begun))
    return {form: statistics.median(values) for form, values in times.items()}


def rows() -> Iterator[tuple]:
    """Yield a row for each form, width and direction."""
    for columns in (21, 256):
        for backward in (False, True):
            times = measure_forms(columns, backward)
            for form, value in times.items():
                ratio = value / times["bag"]
                yield form, columns, backward, f"{value:.1f}", f"{ratio:.2f}"


def main() -> None:
    """Measure, print, and write `sums.csv`."""
    header = ["form", "columns", "backward", "milliseconds", "times_slower_than_bag"]
    keep(HERE / "sums.csv", header, rows())


if __name__ == "__main__":
    main()
