"""Training: a thin Lightning adapter around any method, and the loop's settings."""

import logging
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassConfusionMatrix

from pyg_mllc.data import IGNORE, Splits, endless_loader, eval_loader
from pyg_mllc.errors import InputError
from pyg_mllc.evaluation import iou
from pyg_mllc.losses import upsample
from pyg_mllc.methods import Method
from pyg_mllc.results import Run


@dataclass(frozen=True)
class TrainerSettings:
    """How long, how fast and on what to train.

    Args:
        max_steps: optimizer steps.
        batch_size: labeled images per step.
        unlabeled_batch_size: unlabeled images per step.
        lr: learning rate of the encoder.
        head_factor: the heads learn this many times faster than encoder and corrector.
        weight_decay: of AdamW.
        val_every: steps between validations.
        log_every: steps between rows of the log.
        accelerator: `auto`, `cpu`, `gpu`, ...
        precision: as Lightning's, e.g. `32-true` or `bf16-mixed`.
        workers: processes that load images; with 0, the main process loads.
        progress: whether to show progress bars.
    """

    max_steps: int = 1000
    batch_size: int = 4
    unlabeled_batch_size: int = 4
    lr: float = 3e-4
    head_factor: float = 10.0
    weight_decay: float = 1e-2
    val_every: int = 200
    log_every: int = 10
    accelerator: str = "auto"
    precision: Any = "32-true"
    workers: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "unlabeled_batch_size", "val_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"trainer.{name}={getattr(self, name)} must be 1 or more")


class TrainingModule(L.LightningModule):
    """Runs a method: optimizer, schedule, teacher update, validation, log.

    Args:
        method: what to train.
        num_classes: C.
        settings: learning rates and lengths.
    """

    def __init__(self, method: Method, num_classes: int, settings: TrainerSettings) -> None:
        super().__init__()
        self.method, self.settings = method, settings
        self.history: list[dict[str, float]] = []
        self.validated_at = 0
        self.step_ends: list[float] = []
        beliefs = len(method.student.corrector.rounds) + 2
        # The student's, then the teacher's before correction and after each round.
        self.confusion: Any = nn.ModuleList(
            MulticlassConfusionMatrix(num_classes, ignore_index=IGNORE) for _ in range(beliefs)
        )

    def training_step(self, batch: dict[str, dict[str, Tensor]], index: int) -> Tensor:
        images = {"image": batch["labeled"]["image"] / 255, "label": batch["labeled"]["label"]}
        if "unlabeled" in batch:
            images["unlabeled"] = batch["unlabeled"]["image"] / 255
            images["valid"] = batch["unlabeled"]["valid"]
        figures = self.method(images)
        logged = {name: figure.detach() for name, figure in figures.items()}
        self.log("loss", logged["loss"], prog_bar=True)
        self.log_dict({name: logged[name] for name in logged if name != "loss"})
        if index % self.settings.log_every == 0:
            row = {name: float(figure) for name, figure in logged.items()}
            self.history.append({"step": float(index + 1), **row})
        return figures["loss"]

    def on_train_batch_end(self, *args: Any) -> None:
        self.method.update()
        self.step_ends.append(time.perf_counter())

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        image, label = batch["image"] / 255, batch["label"]
        beliefs = [self.method.student.segmenter(image), *self.method.teach(image)]
        for confusion, belief in zip(self.confusion, beliefs, strict=True):
            confusion.update(upsample(belief.logits, label.shape[-2:]).argmax(1), label)

    def on_validation_epoch_end(self) -> None:
        matrices = [metric.compute() for metric in self.confusion]
        for metric in self.confusion:
            metric.reset()
        miou = [float(iou(matrix).nanmean()) for matrix in matrices]
        self.class_iou = iou(matrices[0]).tolist()
        self.label_miou = miou[1:]
        self.label_accuracy = [float(m.diag().sum() / m.sum().clamp(min=1)) for m in matrices[1:]]
        self.log("miou", miou[0], prog_bar=True)
        self.log("teacher_miou", miou[1])
        self.validated_at = self.global_step
        row = {"step": float(self.global_step), "miou": miou[0], "teacher_miou": miou[1]}
        self.history.append(row)

    def configure_optimizers(self) -> Any:
        student, s = self.method.student, self.settings
        encoder = list(student.segmenter.encoder.parameters())
        corrector = list(student.corrector.parameters())
        inside = {id(p) for p in [*encoder, *corrector]}
        heads = [p for p in student.parameters() if id(p) not in inside]
        groups: list[dict[str, Any]] = [
            {"params": encoder},
            {"params": heads, "lr": s.lr * s.head_factor},
            # It starts as the identity: fast steps, or a pull to zero, would undo that at once.
            {"params": corrector, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=s.lr, weight_decay=s.weight_decay, fused=True)
        poly = LambdaLR(optimizer, lambda step: max(1 - step / s.max_steps, 0.0) ** 0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": poly, "interval": "step"}}


def train(
    method: Method, splits: Splits, settings: TrainerSettings, seed: int, out: Path, name: str
) -> Run:
    """Train a method, validate it, and keep its checkpoint and log.

    Args:
        method: what to train, see `TrainingModule`.
        splits: images.
        settings: lengths, rates, devices.
        seed: of the order of the images.
        out: folder for `last.ckpt` and `metrics.csv`.
        name: what the run is called in tables.

    Returns:
        The run's curves and its figures at the last step.

    Raises:
        InputError: if the method needs unlabeled images and there are none.
    """
    batch, workers = settings.batch_size, settings.workers
    loaders = {"labeled": endless_loader(splits.labeled, batch, seed, 0, workers)}
    if method.uses_unlabeled:
        if not len(splits.unlabeled):
            raise InputError(
                f"method={name} needs unlabeled images: lower data.labeled or raise data.unlabeled"
            )
        batch = settings.unlabeled_batch_size
        loaders["unlabeled"] = endless_loader(splits.unlabeled, batch, seed + 1, 0, workers)
    val = eval_loader(splits.val, settings.batch_size + settings.unlabeled_batch_size, workers)
    module = TrainingModule(method, splits.spec.num_classes, settings)
    trainer = _trainer(settings, out)
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Of what Lightning warns: the teacher is meant to be in eval mode, few workers suffice, and
        # an earlier run's log is meant to be replaced.
        warnings.filterwarnings("ignore", module="lightning")
        try:
            trainer.fit(module, CombinedLoader(loaders, "min_size"), val)
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error
        if module.validated_at < settings.max_steps:
            trainer.validate(module, val, verbose=False)  # the last step counts, too
    seconds = time.perf_counter() - started
    trainer.save_checkpoint(out / "last.ckpt")
    return Run(
        name=name,
        history=module.history,
        class_iou=module.class_iou,
        label_accuracy=module.label_accuracy,
        label_miou=module.label_miou,
        seconds=seconds,
        step_seconds=_median_gap(module.step_ends),
    )


def _median_gap(ends: list[float]) -> float:
    """Seconds per step; the median is blind to the few gaps that hold a validation."""
    return float(np.median(np.diff(ends))) if len(ends) > 1 else math.nan


def _trainer(settings: TrainerSettings, out: Path) -> L.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    bar = RichProgressBar(theme=RichProgressBarTheme(metrics_format=".3f"))
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,
        max_epochs=1,
        limit_train_batches=settings.max_steps,
        val_check_interval=min(settings.val_every, settings.max_steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=settings.log_every,
        logger=CSVLogger(out, name="", version=""),
        callbacks=[bar] if settings.progress else [],
        enable_progress_bar=settings.progress,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
