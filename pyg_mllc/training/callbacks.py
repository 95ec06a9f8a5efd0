"""What happens around each step: seeds, the teacher, checkpoints, a request to stop."""

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


class AtomicCheckpoints(TorchCheckpointIO):
    """Write a checkpoint beside the old one and put it in its place when it is whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        write_checkpoint(checkpoint, path)


STOPS = (signal.SIGINT, signal.SIGTERM)


class EachStep(L.Callback):
    """Seed each batch, move the teacher after each step, save, and stop cleanly.

    Whatever is drawn for a batch depends on the seed, the batch's number and the process alone. So
    a resumed run needs no random state, and validation changes no training.

    Args:
        seed: of the run.
        folder: of `last.ckpt` and `best.ckpt`.
        save_every: optimizer steps between checkpoints.
        validates: whether a validation follows an optimizer step of this number; its checkpoint
            then waits for it, so that a resumed run has lost none.
    """

    def __init__(
        self, seed: int, folder: Path, save_every: int, validates: Callable[[int], bool]
    ) -> None:
        self.seed, self.folder, self.save_every = seed, folder, save_every
        self.validates, self.interrupted = validates, False
        self.steps = 0
        # Those of the caller, who gets them back: Lightning sets its own and keeps that of SIGTERM.
        self.handlers = {number: signal.getsignal(number) for number in STOPS}

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self.steps = trainer.global_step  # of the checkpoint by now, if the run goes on
        with suppress(ValueError):  # not in the main thread
            # SIGTERM comes from SLURM, containers and services; Lightning's handler is set by now.
            for number in STOPS:
                signal.signal(number, self._interrupt)

    def on_fit_end(self, trainer: L.Trainer, module: Any) -> None:
        self._release()

    def on_exception(self, trainer: L.Trainer, module: Any, exception: BaseException) -> None:
        self._release()

    def on_train_batch_start(
        self, trainer: L.Trainer, module: Any, batch: Any, batch_idx: int
    ) -> None:
        L.seed_everything(
            (self.seed * 1_000_003 + module.batches * 101 + trainer.global_rank) % 2**32,
            verbose=False,
        )

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, *args: Any) -> None:
        module.batches += 1
        if trainer.global_step > self.steps:
            self.steps = trainer.global_step
            module.method.update()
            if not self.validates(self.steps):
                self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, module: Any) -> None:
        curve = [row["miou"] for row in module.history if "miou" in row]
        if curve and curve[-1] > max(curve[:-1], default=-1.0):
            trainer.save_checkpoint(self.folder / "best.ckpt", weights_only=True)
        self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        """Save if it is time to; stop if that was asked for: here, where no step is half done."""
        stops = self._stops(trainer)
        if stops or self.steps % self.save_every == 0:
            trainer.save_checkpoint(self.folder / "last.ckpt")
        if stops:
            raise KeyboardInterrupt

    def _stops(self, trainer: L.Trainer) -> bool:
        """Whether any process was asked to: all stop at the same step, for they save together."""
        if trainer.world_size == 1:
            return self.interrupted
        asked = torch.tensor(float(self.interrupted), device=trainer.strategy.root_device)
        return bool(sum_over_processes(asked))

    def _interrupt(self, *args: Any) -> None:
        """Finish the step first; who asks a second time does not wait for that."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def _release(self) -> None:
        with suppress(ValueError):  # not in the main thread
            for number, handler in self.handlers.items():
                signal.signal(number, handler)
