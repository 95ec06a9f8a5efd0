"""Floating-point precision of what is computed."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return a tensor in float32, or in float64 if it is that already."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def precise(x: Tensor) -> Tensor:
    """Return features in float64, on devices that have it: it tells apart what looks alike."""
    return x if x.device.type == "mps" else x.double()
