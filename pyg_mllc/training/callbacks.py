"""Callbacks around each step, in the order in which `step_callbacks` lists them."""

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from pyg_mllc.inference.checkpoint import write_checkpoint
from pyg_mllc.utils.distributed import sum_over_processes

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LAST, BEST = "last.ckpt", "best.ckpt"


class AtomicCheckpoints(TorchCheckpointIO):
    """Write checkpoints atomically: the old file stays until the new one is complete."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        write_checkpoint(checkpoint, path)


class BatchSeeding(L.Callback):
    """Seed each batch from the seed of the run, the batch number and the process rank.

    A resumed run needs no random state, and validation changes no training.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, module: Any, batch: Any, batch_idx: int
    ) -> None:
        L.seed_everything(
            (self.seed * 1_000_003 + module.batches * 101 + trainer.global_rank) % 2**32,
            verbose=False,
        )

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, *args: Any) -> None:
        module.batches += 1


class StepCallback(L.Callback):
    """Base class of callbacks after an optimizer step, however many batches it takes."""

    def __init__(self) -> None:
        self.steps = 0

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self.steps = trainer.global_step  # that of the checkpoint, if the run is resumed

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, *args: Any) -> None:
        if trainer.global_step > self.steps:
            self.steps = trainer.global_step
            self.on_step_end(trainer, module)

    def on_step_end(self, trainer: L.Trainer, module: Any) -> None:
        """Run after each optimizer step; subclasses override it.

        Args:
            trainer: that runs the training.
            module: that is trained.

        Raises:
            NotImplementedError: if a subclass does not override it.
        """
        raise NotImplementedError


class TeacherUpdate(StepCallback):
    """Update the teacher after each optimizer step."""

    def on_step_end(self, trainer: L.Trainer, module: Any) -> None:
        module.method.update()


class CompleteStepCallback(StepCallback):
    """Base class of callbacks after a complete step, with its validation if one follows.

    A checkpoint of a complete step lacks no validation when its run is resumed.

    Args:
        validates: whether a validation follows an optimizer step of this number.
    """

    def __init__(self, validates: Callable[[int], bool]) -> None:
        super().__init__()
        self.validates = validates

    def on_step_end(self, trainer: L.Trainer, module: Any) -> None:
        if not self.validates(self.steps):
            self.on_complete_step(trainer)

    def on_validation_end(self, trainer: L.Trainer, module: Any) -> None:
        self.on_complete_step(trainer)

    def on_complete_step(self, trainer: L.Trainer) -> None:
        """Run after each complete step; subclasses override it.

        Args:
            trainer: that runs the training.

        Raises:
            NotImplementedError: if a subclass does not override it.
        """
        raise NotImplementedError


class Checkpoints(CompleteStepCallback):
    """Write `last.ckpt` at fixed intervals, and `best.ckpt` after each best validation so far.

    Args:
        folder: of the checkpoints.
        save_every: optimizer steps between checkpoints.
        validates: see `CompleteStepCallback`.
    """

    def __init__(self, folder: Path, save_every: int, validates: Callable[[int], bool]) -> None:
        super().__init__(validates)
        self.folder, self.save_every = folder, save_every

    def on_validation_end(self, trainer: L.Trainer, module: Any) -> None:
        curve = [row["miou"] for row in module.history if "miou" in row]
        if curve and curve[-1] > max(curve[:-1], default=-1.0):
            trainer.save_checkpoint(self.folder / BEST, weights_only=True)
        super().on_validation_end(trainer, module)

    def on_complete_step(self, trainer: L.Trainer) -> None:
        if self.steps % self.save_every == 0:
            trainer.save_checkpoint(self.folder / LAST)


class GracefulStop(CompleteStepCallback):
    """Complete the step, write `last.ckpt` and stop at Ctrl-C or SIGTERM.

    A second signal stops at once. A process that is asked to stop stops all processes, at the same
    step.

    Args:
        folder: of the checkpoint.
        validates: see `CompleteStepCallback`.
    """

    def __init__(self, folder: Path, validates: Callable[[int], bool]) -> None:
        super().__init__(validates)
        self.folder, self.asked = folder, False
        # Those of the caller, restored at the end: Lightning keeps its own for SIGTERM.
        self.handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        super().on_train_start(trainer, module)
        with suppress(ValueError):  # not in the main thread
            # SIGTERM comes from SLURM, containers and services; Lightning's handler is set by now.
            for number in SIGNALS:
                signal.signal(number, self._ask)

    def on_fit_end(self, trainer: L.Trainer, module: Any) -> None:
        self._restore()

    def on_exception(self, trainer: L.Trainer, module: Any, exception: BaseException) -> None:
        self._restore()

    def on_complete_step(self, trainer: L.Trainer) -> None:
        if self._any_asked(trainer):
            trainer.save_checkpoint(self.folder / LAST)
            raise KeyboardInterrupt

    def _any_asked(self, trainer: L.Trainer) -> bool:
        """Return whether any process was asked to stop: all save and stop together."""
        if trainer.world_size == 1:
            return self.asked
        asked = torch.tensor(float(self.asked), device=trainer.strategy.root_device)
        return bool(sum_over_processes(asked))

    def _ask(self, *args: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def _restore(self) -> None:
        with suppress(ValueError):  # not in the main thread
            for number, handler in self.handlers.items():
                signal.signal(number, handler)


def step_callbacks(
    seed: int, folder: Path, save_every: int, validates: Callable[[int], bool]
) -> list[L.Callback]:
    """Build the callbacks of each step, in the order in which they have to run.

    A batch is counted, and the teacher updated, before a checkpoint is written, which holds both.
    The stop comes last: what it interrupts is complete.

    Args:
        seed: of the run.
        folder: of the checkpoints.
        save_every: optimizer steps between checkpoints.
        validates: whether a validation follows an optimizer step of this number.

    Returns:
        Callbacks for the Lightning trainer.
    """
    return [
        BatchSeeding(seed),
        TeacherUpdate(),
        Checkpoints(folder, save_every, validates),
        GracefulStop(folder, validates),
    ]
