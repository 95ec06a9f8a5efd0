"""What the processes of one training share."""

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_size() -> tuple[int, int]:
    """Number of this process, and how many there are."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def sum_over_processes(value: Tensor) -> Tensor:
    """Add up what all processes hold; every process calls it. The value itself, if there is one."""
    if rank_and_size()[1] == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_processes(count: Tensor) -> Tensor:
    """Give the mean of all processes' counts; every process calls it.

    A loss that is a sum over this mean has, once gradients are averaged over processes, the
    gradient of the mean over all processes' terms, however many each of them has.
    """
    return sum_over_processes(count) / rank_and_size()[1]


def gather_rows(rows: Tensor) -> Tensor:
    """Put the rows `(N_r, ...)` of all processes r together; every process calls it."""
    rank, processes = rank_and_size()
    if processes == 1:
        return rows
    counts = rows.new_zeros(processes, dtype=torch.long)
    counts[rank] = len(rows)
    sizes = sum_over_processes(counts).tolist()
    # all_gather hangs on unequal sizes.
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
