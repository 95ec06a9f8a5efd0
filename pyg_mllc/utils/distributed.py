"""Sums, means and rows of all processes of a distributed training."""

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_size() -> tuple[int, int]:
    """Return the rank of this process and the number of processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def sum_over_processes(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; every process calls it."""
    if rank_and_size()[1] == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_processes(count: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes; every process calls it.

    A loss that is a sum over this mean has, once gradients are averaged over processes, the
    gradient of the mean over all processes' terms, however many each of them has.
    """
    return sum_over_processes(count) / rank_and_size()[1]


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows `(N_r, ...)` of all processes r, in order of rank; every process calls it."""
    if rank_and_size()[1] == 1:
        return rows
    from torchmetrics.utilities.distributed import gather_all_tensors  # takes seconds to import

    return torch.cat(gather_all_tensors(rows))
