"""Sums, means and rows of all processes of a distributed training."""

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_size() -> tuple[int, int]:
    """Return the rank of this process and the number of processes; (0, 1) without a group."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def sum_over_processes(value: Tensor) -> Tensor:
    """Sum a tensor over all processes; every process calls it.

    Args:
        value: Tensor of this process, of the same shape in all processes.

    Returns:
        The sum; with one process, `value` itself.
    """
    if rank_and_size()[1] == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_processes(count: Tensor) -> Tensor:
    """Compute the mean of a tensor over all processes; every process calls it.

    Divide a sum of losses by it: after gradients are averaged over processes, they are those of
    the mean over all terms, however unevenly processes hold them.

    Args:
        count: Tensor of this process, of the same shape in all processes.

    Returns:
        The mean.
    """
    return sum_over_processes(count) / rank_and_size()[1]


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes; every process calls it.

    Args:
        rows: Rows `(N_r, ...)` of this process r; their number may differ between processes.

    Returns:
        Rows `(sum of N_r, ...)`, in the order of ranks.
    """
    if rank_and_size()[1] == 1:
        return rows
    from torchmetrics.utilities.distributed import gather_all_tensors  # takes seconds to import

    return torch.cat(gather_all_tensors(rows))
