"""Lightning module of a method: optimizer, schedule, validation, log, checkpoints."""

import math
import time
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from pyg_mllc.data import Sample, make_batch
from pyg_mllc.errors import InputError
from pyg_mllc.inference.sliding_window import full_size
from pyg_mllc.methods import Method
from pyg_mllc.metrics.segmentation import SegmentationMetrics
from pyg_mllc.nn import Prediction
from pyg_mllc.training.config import TrainerConfig
from pyg_mllc.training.optimization import build_optimizer
from pyg_mllc.utils.distributed import mean_over_processes, sum_over_processes
from pyg_mllc.utils.provenance import provenance

REMEDY = "lower optimizer.lr or set trainer.gradient_clip_val=1"


class TrainingModule(L.LightningModule):
    """Lightning module that trains and validates a method.

    Args:
        method: what to train.
        num_classes: C.
        config: lengths, optimizer, scheduler.
        network: what the method is built from, see `describe`; kept in checkpoints.
    """

    def __init__(
        self,
        method: Method,
        num_classes: int,
        config: TrainerConfig,
        network: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.method, self.config, self.network = method, config, network
        self.batches = self.skipped = 0
        self.history: list[dict[str, float]] = []
        self.figures: dict[str, Any] = {"validated_at": 0}  # of the last validation
        self.provenance = provenance()
        self.began, self.step_ends = time.perf_counter(), list[float]()
        self.before = {"seconds": 0.0, "step_seconds": math.nan}  # of the parts of a resumed run
        self.metrics: Any = nn.ModuleList(  # one for each of `_predictions`
            SegmentationMetrics(num_classes)
            for _ in range(len(method.student.corrector.rounds) + 2)
        )

    @property
    def seconds(self) -> float:
        """Duration of the run in seconds, without breaks before a resume."""
        return self.before["seconds"] + time.perf_counter() - self.began

    @property
    def step_seconds(self) -> float:
        """Median seconds per batch since the last resume, or before it if there are none."""
        ends = self.step_ends
        return float(np.median(np.diff(ends))) if len(ends) > 1 else self.before["step_seconds"]

    def training_step(self, batch: dict[str, Sample], index: int) -> Tensor:
        statistics = [b.clone() for b in self.method.student.buffers()] if self._skips else []
        try:
            figures = self.method(
                make_batch(batch["labeled"], batch.get("unlabeled"), self._memory_format)
            )
        except ValueError as error:
            if "more than 1 value per channel" in str(error):  # of batch normalization
                raise InputError(
                    "the batch is too small for batch normalization: raise trainer.batch_size "
                    "(by a process) or data.size"
                ) from error
            if "finite" not in str(error):  # of the corrector, which takes only finite logits
                raise
            raise InputError(f"step {self.global_step + 1}: {error}; {REMEDY}") from error
        if "loss" not in figures or not all(isinstance(f, Tensor) for f in figures.values()):
            kinds = {name: type(figure).__name__ for name, figure in figures.items()}
            name = type(self.method).__name__
            raise InputError(f"expected {name} to give tensors, a loss among them, got {kinds}")
        logged = {name: figure.detach() for name, figure in figures.items()}
        if self._refuse_nonfinite([n for n, figure in logged.items() if not figure.isfinite()]):
            for buffer, before in zip(self.method.student.buffers(), statistics, strict=True):
                buffer.data.copy_(before)  # undo the batch's update of batch normalization
        shown = {name: logged[name] for name in ("loss", "confident") if name in logged}
        self.log_dict(shown, prog_bar=True, sync_dist=True)
        self.log_dict({n: logged[n] for n in logged if n not in shown}, sync_dist=True)
        self.log("step", float(self.global_step + 1))  # loggers would count from 0
        if index % (self.config.log_every_n_steps * self.config.accumulate_grad_batches) == 0:
            row = {name: float(mean_over_processes(value)) for name, value in logged.items()}
            self.history.append({"step": float(self.global_step + 1), **row})
        return figures["loss"]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if str(self.config.precision).startswith("16"):
            return  # the loss scaler looks after its own overflows
        weights = list(self.method.parameters())
        gradients = [p.grad for p in weights if p.grad is not None]
        if get_total_norm(gradients).isfinite():
            return
        self._refuse_nonfinite(["gradient"])
        for p in weights:  # no step in any direction; processes share gradients, so all do this
            p.grad = None
        self.skipped += 1
        self.log("skipped", float(self.skipped))

    def on_train_batch_end(self, *args: Any) -> None:
        self.step_ends.append(time.perf_counter())

    def validation_step(self, batch: Sample) -> None:
        images = make_batch(batch, memory_format=self._memory_format)
        predict = full_size(self._predictions, self.config.window)
        for metric, probabilities in zip(self.metrics, predict(images["image"]), strict=True):
            metric.update(probabilities, images["label"])

    def on_validation_epoch_end(self) -> None:
        scores = [metric.compute() for metric in self.metrics]
        for metric in self.metrics:
            metric.reset()
        miou = [float(score["miou"]) for score in scores]
        accuracy = [float(score["accuracy"]) for score in scores[1:]]
        self.figures = {
            "class_iou": scores[0]["class_iou"].tolist(),
            "label_miou": miou[1:],
            "label_accuracy": accuracy,
            "validated_at": self.global_step,
        }
        rounds = {f"label_accuracy_{r}": right for r, right in enumerate(accuracy)}  # after round r
        rounds |= {f"label_miou_{r}": overlap for r, overlap in enumerate(miou[1:])}
        self.log("miou", miou[0], prog_bar=True)
        self.log("label_accuracy", accuracy[-1], prog_bar=True, logger=False)
        self.log_dict(rounds)
        self.log("step", float(self.global_step))
        row = {"step": float(self.global_step), "miou": miou[0], "teacher_miou": miou[1], **rounds}
        if self.history and self.history[-1] | row == self.history[-1]:
            return  # a resumed run validates the step that it stopped at once more
        self.history.append(row)

    def configure_optimizers(self) -> Any:
        optimizer, scheduler = build_optimizer(self.method.student, self.config)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Plain containers alone: checkpoints load with weights_only=True.
        checkpoint["network"] = self.network
        checkpoint["run"] = {
            "batches": self.batches,
            "skipped": self.skipped,
            "history": self.history,
            "figures": self.figures,
            "provenance": self.provenance,
            "times": {"seconds": self.seconds, "step_seconds": self.step_seconds},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        run = checkpoint["run"]
        self.batches, self.skipped = run["batches"], run["skipped"]
        self.history, self.figures = run["history"], run["figures"]
        self.before = run["times"]
        self.provenance = provenance(run["provenance"])

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.config.channels_last else torch.contiguous_format

    def _predictions(self, view: Tensor) -> list[Prediction]:
        """Return predictions of the student, then the teacher's before and after each round."""
        return [self.method.student.segmenter(view), *self.method.predict_teacher(view)]

    @property
    def _skips(self) -> bool:
        return self.config.on_nonfinite == "skip"

    def _refuse_nonfinite(self, bad: list[str]) -> bool:
        """Return whether any process has nonfinite figures; raise unless they are skipped."""
        is_bad = bool(sum_over_processes(torch.tensor(float(len(bad)), device=self.device)))
        if is_bad and not self._skips:
            names = ", ".join(bad) or "a loss of another process"
            raise InputError(
                f"step {self.global_step + 1}: not finite: {names}; "
                f"{REMEDY}, or pass trainer.on_nonfinite=skip"
            )
        return is_bad
