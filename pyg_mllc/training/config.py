"""How long, how fast and on what to train."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from pyg_mllc.errors import InputError
from pyg_mllc.utils.validation import check_size, check_type

CHOICES = {
    "optimizer": ("adamw", "sgd"),
    "schedule": ("poly", "cosine", "constant"),
    "on_nonfinite": ("stop", "skip"),
    "on_unreadable": ("stop", "skip"),
}
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "64-true", "32", "16", "bf16", "64")
LOGGERS = ("csv", "tensorboard", "mlflow", "wandb")


@dataclass(frozen=True)
class TrainerSettings:
    """How long, how fast and on what to train.

    Args:
        max_steps: optimizer steps.
        batch_size: labeled images per batch, over all processes.
        unlabeled_batch_size: unlabeled images per batch, likewise.
        accumulate: batches per optimizer step.
        optimizer: `adamw` or `sgd`.
        lr: learning rate of the encoder.
        head_factor: decoder and heads learn this many times faster than encoder and corrector.
        momentum: of SGD.
        weight_decay: of either.
        schedule: of the learning rate: `poly` (power 0.9, as published), `cosine` or `constant`.
        clip: largest norm of the gradient; none by default.
        val_every: steps between validations.
        window: height and width (h, w) of the sliding window that validates; by default the whole
            image at once.
        early_stop: validations without a better mIoU after which training stops; by default never.
        save_every: steps between checkpoints; by default `val_every`.
        log_every: steps between rows of the log.
        loggers: any of `csv`, `tensorboard`, `mlflow` and `wandb`, or Lightning loggers.
        accelerator: `auto`, `cpu`, `gpu`, ...
        devices: of one machine, one process each.
        nodes: machines.
        precision: `32-true`, `16-mixed`, `bf16-mixed` or `64-true`, or Lightning's short 32, 16,
            `bf16`, 64.
        channels_last: lay images out as (B, H, W, C) in memory, which convolutions do faster.
        workers: processes that load images; with 0, the main process loads.
        on_nonfinite: what a loss or gradient that is not finite does: `stop`, or `skip` the step,
            with all batches accumulated for it. A corrector's input that is not finite always
            stops.
        on_unreadable: what a training image that cannot be read does: `stop`, or `skip` to the
            next, with a warning that names it.
        progress: whether to show progress bars.

    Raises:
        InputError: if a number or a word is out of range.
    """

    max_steps: int = 1000
    batch_size: int = 4
    unlabeled_batch_size: int = 4
    accumulate: int = 1
    optimizer: str = "adamw"
    lr: float = 3e-4
    head_factor: float = 10.0
    momentum: float = 0.9
    weight_decay: float = 1e-2
    schedule: str = "poly"
    clip: float | None = None
    val_every: int = 200
    window: tuple[int, int] | None = None
    early_stop: int | None = None
    save_every: int | None = None
    log_every: int = 10
    loggers: Sequence[Any] = ("csv", "tensorboard")
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Any = "32-true"
    channels_last: bool = True
    workers: int = 0
    on_nonfinite: str = "stop"
    on_unreadable: str = "stop"
    progress: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            check_type(f"trainer.{field.name}", getattr(self, field.name), field.type)
        counts = ("max_steps", "batch_size", "unlabeled_batch_size", "accumulate", "val_every")
        for name in (*counts, "early_stop", "save_every", "log_every", "devices", "nodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"trainer.{name}={value} must be 1 or more")
        for name in ("lr", "head_factor", "momentum", "weight_decay", "clip"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"trainer.{name}={value} must be 0 or more")
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
        for logger in self.loggers:
            if isinstance(logger, str) and logger not in LOGGERS:
                raise InputError(f"trainer.loggers has {logger}, none of {', '.join(LOGGERS)}")
        for name in ("batch_size", "unlabeled_batch_size"):
            if getattr(self, name) % (self.devices * self.nodes):
                raise InputError(
                    f"trainer.{name}={getattr(self, name)} does not divide among "
                    f"{self.devices * self.nodes} processes"
                )
