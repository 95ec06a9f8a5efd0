"""What the processes of one training share."""

import torch.distributed as dist
from torch import Tensor


def rank_and_size() -> tuple[int, int]:
    """Number of this process, and how many there are."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def sum_over_processes(value: Tensor) -> Tensor:
    """Add up what all processes hold; every process calls it. The value itself, if there is one."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_processes(count: Tensor) -> Tensor:
    """Give the mean of all processes' counts; every process calls it.

    A loss that is a sum over this mean has, once gradients are averaged over processes, the
    gradient of the mean over all processes' terms, however many each of them has.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return count
    return sum_over_processes(count) / dist.get_world_size()
