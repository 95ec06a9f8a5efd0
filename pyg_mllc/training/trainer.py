"""Run one training, from the start or from a checkpoint."""

import logging
import re
import resource
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch import loggers as lightning_loggers
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from lightning.pytorch.utilities import CombinedLoader, rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from pyg_mllc.data import ReadableSet, Splits, eval_loader, infinite_loader
from pyg_mllc.data.label_statistics import count_class_pixels
from pyg_mllc.data.loaders import rare_class_probabilities
from pyg_mllc.errors import InputError
from pyg_mllc.evaluation.results import TrainingResult
from pyg_mllc.methods import Method
from pyg_mllc.training.callbacks import LAST, AtomicCheckpoints, step_callbacks
from pyg_mllc.training.config import TrainerConfig
from pyg_mllc.training.module import TrainingModule

log = logging.getLogger(__name__)


class Bar(RichProgressBar):
    """Lightning's progress bar without its single epoch and the version number of loggers."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{'Training':{len(self.validation_description)}}"

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        return {name: v for name, v in super().get_metrics(*args).items() if name != "v_num"}


def train(
    method: Method,
    splits: Splits,
    config: TrainerConfig,
    seed: int,
    out: Path,
    name: str,
    resume: bool = False,
    network: dict[str, Any] | None = None,
) -> TrainingResult:
    """Train a method, validate it, and write checkpoints and logs.

    Args:
        method: what to train, see `TrainingModule`.
        splits: images.
        config: lengths, rates, devices.
        seed: of all random choices.
        out: folder for `last.ckpt`, `best.ckpt` (weights only, of the best mIoU), `result.json`
            and logs.
        name: what the run is called in tables.
        resume: go on from `last.ckpt` in `out`, if there is one. On the same machine, the end is
            the same, bit for bit, as without a stop.
        network: what the method is built from, see `describe`; with it, `pyg_mllc.load` takes the
            checkpoints.

    Returns:
        The run's curves and its figures at the last step.

    Raises:
        InputError: if the method needs unlabeled images and there are none, if the labeled masks
            show one class only, if there are fewer validation images than processes, if a loss is
            not finite, if memory does not suffice, if the checkpoint is none of ours, or as
            `Method.prepare`.
    """
    last = out / LAST
    if last.exists() and not resume and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        last.replace(out / "earlier.ckpt")  # of another run, which this one must not go on with
    saved = _saved(last) if resume and last.exists() else None
    for doubt in splits.label_warnings:
        log.warning("doubtful labels: %s", doubt)
    if len(splits.val) < config.processes:
        raise InputError(f"data.val={len(splits.val)} is less than one image per process")
    done = 0 if saved is None else saved["run"]["batches"]
    module = TrainingModule(method, splits.spec.num_classes, config, network)
    if config.channels_last:
        method.to(memory_format=torch.channels_last)
    labeled = ReadableSet(splits.labeled, config.on_unreadable == "skip")
    loaders = _loaders(method, labeled, splits, config, seed, done, name)
    each = config.batch_size + config.unlabeled_batch_size
    val = eval_loader(splits.val, each, config.num_workers)
    every = min(config.val_check_interval, config.max_steps)
    save_every = config.save_every or config.val_check_interval
    callbacks = step_callbacks(seed, out, save_every, lambda step: step % every == 0)
    with warnings.catch_warnings():
        # Of what Lightning warns: the teacher is meant to be in eval mode, few workers suffice, an
        # earlier run's log is meant to be replaced, and loaders start where the checkpoint ended.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(config, callbacks)
        trainer.loggers = _loggers(config, out, saved, _hyperparameters(config, seed, network))
        try:
            if saved is None:
                method.to(trainer.strategy.root_device)
                method.prepare(labeled, config.enable_progress_bar)
            start = last if saved else None
            if method.needs_steps:
                batches = CombinedLoader(loaders, "min_size")
                trainer.fit(module, batches, val, ckpt_path=start, weights_only=True)
            if module.figures["validated_at"] < trainer.global_step:
                trainer.validate(module, val, verbose=False)  # the last step counts, too
            elif not method.needs_steps:
                trainer.validate(module, val, start, verbose=False, weights_only=True)
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error
        except InputError as error:
            kept = f" ({last} is of before)" if last.exists() else ""
            raise InputError(f"{error}{kept}") from error
        except (MemoryError, RuntimeError) as error:
            told = re.search("out of memory|(not enough|allocate) memory", str(error))
            if not told and not isinstance(error, MemoryError):
                raise
            raise InputError(
                "memory does not suffice: lower trainer.batch_size, trainer.unlabeled_batch_size, "
                "data.size or corrector.k, or pass trainer.precision=bf16-mixed"
            ) from error
    trainer.save_checkpoint(last)
    run = TrainingResult(
        name=name,
        history=module.history,
        class_iou=module.figures["class_iou"],
        label_accuracy=module.figures["label_accuracy"],
        label_miou=module.figures["label_miou"],
        seconds=module.seconds,
        step_seconds=module.step_seconds,
        peak_mb=_peak_mb(),
        provenance=module.provenance,
    )
    if trainer.is_global_zero:
        run.save(out / "result.json")
    return run


def _saved(path: Path) -> dict[str, Any]:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        saved["run"]["provenance"]
    except Exception as error:  # torch raises many kinds for damaged files
        raise InputError(
            f"{path} is no checkpoint of a run, or one of an earlier version; remove it to start "
            "anew"
        ) from error
    return saved


def _loaders(
    method: Method,
    labeled: ReadableSet,
    splits: Splits,
    config: TrainerConfig,
    seed: int,
    done: int,
    name: str,
) -> dict[str, Any]:
    """Build infinite loaders that continue after the batches done."""
    workers, chances = config.num_workers, None
    if config.rare_class_temperature is not None:
        counts = count_class_pixels(labeled, splits.spec.num_classes)
        chances = rare_class_probabilities(counts, config.rare_class_temperature)
    if method.rare_paste is not None and config.batch_size == config.processes:
        log.warning("one labeled image per process: method.rare_paste has no other to paste from")
    loaders = {"labeled": infinite_loader(labeled, config.batch_size, seed, done, workers, chances)}
    if method.uses_unlabeled:
        if not len(splits.unlabeled):
            raise InputError(
                f"method={name} needs unlabeled images, and there are none: add some (in a folder "
                "of one's own, unlabeled/), lower data.labeled, or take method=supervised"
            )
        if config.unlabeled_batch_size == config.processes:
            log.warning("one unlabeled image per process: there is none to mix it with")
        unlabeled, size = ReadableSet(splits.unlabeled, labeled.skip), config.unlabeled_batch_size
        loaders["unlabeled"] = infinite_loader(unlabeled, size, seed + 1, done, workers)
    return loaders


def _peak_mb() -> float:
    """Return the peak of resident memory of this process, in megabytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _trainer(config: TrainerConfig, callbacks: list[L.Callback]) -> L.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks = list(callbacks)
    if config.enable_progress_bar:
        callbacks.append(Bar(theme=RichProgressBarTheme(metrics_format=".3f")))
    if config.early_stop is not None:
        callbacks.append(EarlyStopping("miou", mode="max", patience=config.early_stop))
    batches = config.max_steps * config.accumulate_grad_batches
    processes = config.processes
    try:
        return L.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
            # Of batch normalization that is shared torch has none for CPUs.
            sync_batchnorm=(
                processes > 1 and config.accelerator != "cpu" and torch.cuda.is_available()
            ),
            use_distributed_sampler=False,
            precision=config.precision,
            max_epochs=1,
            limit_train_batches=batches,
            accumulate_grad_batches=config.accumulate_grad_batches,
            gradient_clip_val=config.gradient_clip_val,
            val_check_interval=min(
                config.val_check_interval * config.accumulate_grad_batches, batches
            ),
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            log_every_n_steps=config.log_every_n_steps,
            logger=False,
            callbacks=callbacks,
            plugins=[AtomicCheckpoints()],
            enable_progress_bar=config.enable_progress_bar,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
    except (MisconfigurationException, ModuleNotFoundError, ValueError) as error:  # no such thing
        told = f"trainer.accelerator={config.accelerator} trainer.precision={config.precision}"
        raise InputError(f"{told}: {error}") from error


def _hyperparameters(
    config: TrainerConfig, seed: int, network: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the options of a run in plain containers, for loggers that compare runs."""
    trainer = asdict(config) | {"logger": str(config.logger)}
    factories = {name: _plain(trainer.pop(name)) for name in ("optimizer", "scheduler")}
    parts = {part: network[part] for part in ("model", "corrector", "method")} if network else {}
    return {"seed": seed, "trainer": trainer, **factories, **parts}


def _plain(factory: Any) -> dict[str, Any]:
    """Return the name and the options of a factory."""
    made = getattr(factory, "func", factory)
    return {"name": getattr(made, "__name__", str(made)), **getattr(factory, "keywords", {})}


def _loggers(
    config: TrainerConfig, out: Path, saved: dict[str, Any] | None, options: dict[str, Any]
) -> list[Any]:
    """Build the loggers; a resumed run writes its rows beside the earlier ones."""
    part = "" if saved is None else f"from_step_{saved['global_step']}"
    make = {
        "csv": lambda: lightning_loggers.CSVLogger(out, name="", version=part),
        "tensorboard": lambda: lightning_loggers.TensorBoardLogger(
            out, name="", version="", sub_dir="tensorboard"
        ),
        "mlflow": lambda: lightning_loggers.MLFlowLogger(out.name, save_dir=str(out / "mlflow")),
        "wandb": lambda: lightning_loggers.WandbLogger(out.name, save_dir=out),
    }
    try:
        made = [make[chosen]() if isinstance(chosen, str) else chosen for chosen in config.logger]
    except ModuleNotFoundError as error:
        raise InputError(f"trainer.logger: {error}; pip install what it names") from error
    for logger in made:
        logger.log_hyperparams(options)
    return made
