"""Floating-point precision of computations."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return a tensor in float32, or in float64 if it has that precision already.

    Args:
        x: of any floating-point type.

    Returns:
        `x` itself if it is in float32 or float64, else a float32 copy.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def to_float64(x: Tensor) -> Tensor:
    """Return a tensor in float64, where the device has it.

    Args:
        x: of any floating-point type.

    Returns:
        `x` in float64; `x` itself on MPS, which has no float64.
    """
    return x if x.device.type == "mps" else x.double()
