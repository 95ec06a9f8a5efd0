"""The optimizer and the learning rates of a training."""

from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, PolynomialLR

from pyg_mllc.nn import CorrectedSegmenter
from pyg_mllc.training.config import TrainerConfig

FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)  # on every device


def build_optimizer(
    student: CorrectedSegmenter, config: TrainerConfig
) -> tuple[Optimizer, LRScheduler]:
    """Build the optimizer of a student, and the scheduler of its learning rates.

    Decoder and heads learn `head_lr_factor` times faster than the encoder. The corrector learns at
    the encoder's rate and without weight decay.

    Args:
        student: the network, of which weights that need no gradient are left out.
        config: the factories, the factor, and whether gradients are clipped.

    Returns:
        The optimizer, and its scheduler.
    """
    encoder = list(student.segmenter.encoder.parameters())
    corrector = list(student.corrector.parameters())
    inside = {id(weight) for weight in (*encoder, *corrector)}
    heads = [weight for weight in student.parameters() if id(weight) not in inside]
    groups: list[dict[str, Any]] = [
        {"name": "encoder", "params": encoder},
        {"name": "heads", "params": heads},
        # It starts as the identity: fast steps, or a pull to zero, would undo that at once.
        {"name": "corrector", "params": corrector, "weight_decay": 0.0},
    ]
    for group in groups:
        group["params"] = [weight for weight in group["params"] if weight.requires_grad]
    options = dict(getattr(config.optimizer, "keywords", {}))
    if getattr(config.optimizer, "func", config.optimizer) in FUSED and "foreach" not in options:
        # Lightning does not clip for fused optimizers under mixed precision.
        options.setdefault("fused", config.gradient_clip_val is None)
    optimizer = config.optimizer([group for group in groups if group["params"]], **options)
    for group in optimizer.param_groups:
        if group["name"] == "heads":
            group["lr"] *= config.head_lr_factor
    scheduler = config.scheduler or partial(PolynomialLR, total_iters=config.max_steps, power=0.9)
    return optimizer, scheduler(optimizer)
