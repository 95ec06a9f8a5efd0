"""Weighted neighbor sums, forward and backward: which form is used where, and why.

python -m experiments.benchmarks.sums
"""

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
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
    """PyG's own gather and scatter, without extensions."""
    return SimpleConv(aggr="sum")(x, edge_index, weight)


def _ptr(target: Tensor) -> Tensor:
    return F.pad(torch.bincount(target, minlength=N).cumsum(0), (1, 0))


def torch_csr(edge_index: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """Torch's own sparse matrix."""
    source, target = edge_index
    return torch.sparse_csr_tensor(_ptr(target), source, weight, (N, N)) @ x


def torch_sparse(edge_index: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """The extra `sparse`."""
    from torch_sparse import SparseTensor

    source, target = edge_index
    return SparseTensor(rowptr=_ptr(target), col=source, value=weight, sparse_sizes=(N, N)) @ x


def embedding_bag(edge_index: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    """`embedding_bag` with its own backward."""
    source, target = edge_index
    return F.embedding_bag(source, x, _ptr(target)[:-1], mode="sum", per_sample_weights=weight)


FORMS = {
    f.__name__: f for f in (message_passing, torch_csr, torch_sparse, embedding_bag, propagate)
}


def prepare(form: str, columns: int, backward: bool) -> Callable[[], Any]:
    """One sum over `DEGREE` neighbors of each of N pixels."""
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
    """Median milliseconds of each form; all run in turns, and must agree."""
    runs = {form: prepare(form, columns, backward) for form in FORMS}
    ours, times = runs["propagate"](), {}
    for form, run in list(runs.items()):
        try:
            assert torch.allclose(run(), ours, rtol=1e-4, atol=1e-3), form
        except ModuleNotFoundError as error:
            print(f"{form}: skipped, {error}")
            del runs[form]
    for form in list(runs) * repeats:
        begun = time.perf_counter()
        runs[form]()
        times.setdefault(form, []).append(1000 * (time.perf_counter() - begun))
    return {form: statistics.median(values) for form, values in times.items()}


def rows() -> Iterator[tuple]:
    """A row for each form, width and direction."""
    for columns in (21, 256):
        for backward in (False, True):
            times = measure_forms(columns, backward)
            for form, value in times.items():
                ratio = value / times["propagate"]
                yield form, columns, backward, f"{value:.1f}", f"{ratio:.2f}"


def main() -> None:
    """Measure, print, and write `sums.csv`."""
    header = ["form", "columns", "backward", "milliseconds", "times_slower"]
    keep(HERE / "sums.csv", header, rows())


if __name__ == "__main__":
    main()
