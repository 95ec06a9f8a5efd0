"""Length, speed and hardware of a training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pyg_mllc.errors import InputError
from pyg_mllc.utils.validation import check_size, check_type

CHOICES = {"on_nonfinite": ("stop", "skip"), "on_unreadable": ("stop", "skip")}
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "64-true", "32", "16", "bf16", "64")
ADAMW = partial(torch.optim.AdamW, lr=3e-4, weight_decay=1e-2)
LOGGERS = ("csv", "tensorboard", "mlflow", "wandb")


@dataclass(frozen=True)
class TrainerConfig:
    """Length, speed and hardware of a training; named as in Lightning's Trainer.

    Args:
        max_steps: optimizer steps.
        batch_size: labeled images per batch, over all processes.
        unlabeled_batch_size: unlabeled images per batch, over all processes.
        rare_class_temperature: T of draws that prefer labeled images with rare classes, the lower
            the more, see `rare_class_probabilities`; by default each is drawn equally often.
        accumulate_grad_batches: batches per optimizer step.
        optimizer: factory that takes groups of weights; by default AdamW with `lr=3e-4` and
            `weight_decay=1e-2`.
        scheduler: factory that takes the optimizer, stepped once per optimizer step; by default
            PolynomialLR with `power=0.9`, down to zero at `max_steps`.
        head_lr_factor: learning rate of decoder and heads over that of encoder and corrector.
        gradient_clip_val: largest norm of the gradient; by default gradients are not clipped.
        val_check_interval: optimizer steps between validations.
        window: height and width (h, w) of the sliding window that validates; by default the whole
            image at once.
        early_stop: validations without a better mIoU after which training stops; by default never.
        save_every: optimizer steps between checkpoints; by default `val_check_interval`.
        log_every_n_steps: optimizer steps between rows of the log.
        logger: any of `csv`, `tensorboard`, `mlflow` and `wandb`, or Lightning loggers.
        accelerator: `auto`, `cpu`, `gpu`, ...
        devices: of each machine, one process each.
        num_nodes: machines.
        precision: `32-true`, `16-mixed`, `bf16-mixed` or `64-true`, or Lightning's short 32, 16,
            `bf16`, 64.
        channels_last: lay images out as (B, H, W, C) in memory, which convolutions do faster.
        num_workers: processes that load images; with 0, the main process loads.
        on_nonfinite: what a loss or gradient that is not finite does: `stop`, or `skip` the step,
            with all batches accumulated for it. A corrector's input that is not finite always
            stops.
        on_unreadable: what a training image that cannot be read does: `stop`, or `skip` to the
            next, with a warning that names it.
        enable_progress_bar: whether to show progress bars.

    Raises:
        InputError: if a number or a word is out of range, or the optimizer or the scheduler cannot
            be made.
    """

    max_steps: int = 1000
    batch_size: int = 4
    unlabeled_batch_size: int = 4
    rare_class_temperature: float | None = None
    accumulate_grad_batches: int = 1
    optimizer: Callable[..., Optimizer] = ADAMW
    scheduler: Callable[..., LRScheduler] | None = None
    head_lr_factor: float = 10.0
    gradient_clip_val: float | None = None
    val_check_interval: int = 200
    window: tuple[int, int] | None = None
    early_stop: int | None = None
    save_every: int | None = None
    log_every_n_steps: int = 10
    logger: Sequence[Any] = ("csv", "tensorboard")
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    precision: Any = "32-true"
    channels_last: bool = True
    num_workers: int = 0
    on_nonfinite: str = "stop"
    on_unreadable: str = "stop"
    enable_progress_bar: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            check_type(f"trainer.{field.name}", getattr(self, field.name), field.type)
        for name in (
            "max_steps", "batch_size", "unlabeled_batch_size", "accumulate_grad_batches",
            "val_check_interval", "early_stop", "save_every", "log_every_n_steps", "devices",
            "num_nodes",
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"trainer.{name}={value} must be 1 or more")
        for name in ("head_lr_factor", "gradient_clip_val"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"trainer.{name}={value} must be 0 or more")
        if (temperature := self.rare_class_temperature) is not None:
            check_type("trainer.rare_class_temperature", temperature, float)
            if not temperature > 0:
                raise InputError(f"trainer.rare_class_temperature={temperature} must be above 0")
        if self.window is not None:
            check_size("trainer.window", self.window)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"trainer.{name}={getattr(self, name)} is none of {', '.join(choices)}"
                )
        if str(self.precision) not in PRECISIONS:
            raise InputError(
                f"trainer.precision={self.precision} is none of {', '.join(PRECISIONS)}"
            )
        for logger in self.logger:
            if isinstance(logger, str) and logger not in LOGGERS:
                raise InputError(f"trainer.logger has {logger}, none of {', '.join(LOGGERS)}")
        for name in ("batch_size", "unlabeled_batch_size"):
            if getattr(self, name) % self.processes:
                raise InputError(
                    f"trainer.{name}={getattr(self, name)} does not divide among "
                    f"{self.processes} processes"
                )
        check_factories(self.optimizer, self.scheduler)

    @property
    def processes(self) -> int:
        """Number of processes, over all machines."""
        return self.devices * self.num_nodes


def check_factories(
    optimizer: Callable[..., Optimizer], scheduler: Callable[..., LRScheduler] | None
) -> None:
    """Check that an optimizer and its scheduler can be built, on a single weight.

    Args:
        optimizer: factory, see `TrainerConfig`.
        scheduler: factory, see `TrainerConfig`.

    Raises:
        InputError: if not, with the name of the option if it is known.
    """
    options = getattr(optimizer, "keywords", {})
    for name in ("lr", "weight_decay", "momentum"):
        if name in options:
            check_type(f"optimizer.{name}", options[name], float)
            if not options[name] >= 0:
                raise InputError(f"optimizer.{name}={options[name]} must be 0 or more")
    part = "optimizer"
    try:
        made = optimizer([torch.zeros(1, requires_grad=True)])
        part = "scheduler"
        if scheduler is not None:
            scheduler(made)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise InputError(f"{part}: {' '.join(str(error).split())}") from error
