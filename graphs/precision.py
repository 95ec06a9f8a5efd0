"""Floating-point precision of computations."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return a tensor in float32, or in float64 if it has that precision already."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def to_float64(x: Tensor) -> Tensor:
    """Return a tensor in float64; on MPS, which has no float64, return it unchanged."""
    return x if x.device.type == "mps" else x.double()
