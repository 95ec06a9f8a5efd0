"""The command line. Hydra enters here and nowhere else."""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyg_mllc.errors import InputError
from pyg_mllc.processes import rank_and_size

USAGE = """mllc <command> [option=value ...]

commands:
  train   train a network from labeled and unlabeled images, and write a report

examples:
  mllc train experiment=demo
  mllc train experiment=camvid data.root=path/to/camvid trainer.max_steps=60
  mllc train resume=outputs/camvid/2026-01-31_12-00-00
  mllc train --help            all options of a command
"""


RUN = "run.yaml"  # all options of a run, in its folder
CHANGEABLE = ("trainer.workers", "trainer.progress", "trainer.loggers", "trainer.accelerator")


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn an error that the user can mend into one sentence and exit code 2."""
    try:
        yield
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        _refuse(sentence)


@hydra.main(config_path="configs", config_name="train", version_base="1.3")
def train(cfg: DictConfig) -> float:
    """Train what `cfg` says, and its baseline if it names one; return the last mIoU."""
    with one_sentence():  # here, before Hydra adds lines of its own
        return _train(cfg)


def _train(cfg: DictConfig) -> float:
    import lightning as L
    import rich

    from pyg_mllc import training
    from pyg_mllc.evaluation import correction_examples
    from pyg_mllc.pictures import example_figure
    from pyg_mllc.report import comparison_table, write_report

    out = Path(HydraConfig.get().runtime.output_dir)
    resume = not OmegaConf.is_missing(cfg, "resume")
    cfg = _resumed(out) if resume else cfg
    settings, splits = instantiate(cfg.trainer), instantiate(cfg.data)
    processes = settings.devices * settings.nodes
    if processes > 1 and not {"TORCHELASTIC_RUN_ID", "SLURM_NTASKS"} & set(os.environ):
        raise InputError(
            f"trainer.devices={settings.devices} trainer.nodes={settings.nodes} need {processes} "
            "processes: torchrun --nproc-per-node N -m pyg_mllc.cli train ... starts them"
        )
    if not resume:
        (out / RUN).write_text(OmegaConf.to_yaml(cfg, resolve=True))
    print(f"{'going on' if resume else 'run'}: {_short(out)}")
    runs = []
    for config in filter(None, (cfg.get("baseline"), cfg.method)):
        name = config._target_.rsplit(".", 1)[-1].lower()
        L.seed_everything(cfg.seed, verbose=False)
        segmenter = instantiate(cfg.model)(num_classes=splits.spec.num_classes)
        try:
            corrector = instantiate(cfg.corrector)(
                num_classes=splits.spec.num_classes, feature_dim=segmenter.feature_dim
            )
        except ValueError as error:  # an option out of range, or a layer that does not fit
            raise InputError(f"corrector: {error}") from error
        method = instantiate(config)(segmenter=segmenter, corrector=corrector)
        more = f", {len(splits.unlabeled)} unlabeled" if method.uses_unlabeled else ""
        rich.print(f"[bold]{name}[/]: {len(splits.labeled)} labeled images{more}")
        try:
            run = training.train(method, splits, settings, cfg.seed, out / name, name, resume)
        except KeyboardInterrupt:
            _refuse(f"stopped; mllc train resume={_short(out)} goes on", 130)
        runs.append(run)
    if rank_and_size()[0]:
        return runs[-1].last_miou  # one process reports
    rich.print(comparison_table(runs))

    spec, examples = splits.spec, correction_examples(method, splits)
    example_figure(examples[:4], spec.classes, spec.colors).savefig(out / "examples.png")
    facts = _facts(cfg, splits)
    write_report(out / "report.html", cfg.name, runs, examples, spec.classes, spec.colors, facts)
    print(f"report: {_short(out / 'report.html')}")
    return runs[-1].last_miou


def _resumed(out: Path) -> DictConfig:
    """The options of an earlier run, but for what the command line may change."""
    file = out / RUN
    if not file.is_file():
        raise InputError(f"resume={_short(out)} is no folder of a run: it has no {RUN}")
    changes = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    for change in changes:
        if change.split("=")[0] not in CHANGEABLE:
            raise InputError(
                f"resume= takes all options from the run; leave out {change} "
                f"(only {', '.join(CHANGEABLE)} may change)"
            )
    return cast(DictConfig, OmegaConf.merge(OmegaConf.load(file), OmegaConf.from_dotlist(changes)))


def _facts(cfg: DictConfig, splits: Any) -> dict[str, str]:
    """What made the results, for the head of the report."""
    import torch

    labeled, unlabeled, val = len(splits.labeled), len(splits.unlabeled), len(splits.val)
    batch = f"{cfg.trainer.batch_size} labeled + {cfg.trainer.unlabeled_batch_size} unlabeled"
    machine = f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads"
    return {
        "data": f"{splits.spec.name}: {labeled} labeled, {unlabeled} unlabeled, {val} validation",
        "steps": f"{cfg.trainer.max_steps:,}, each of {batch} images",
        "encoder": cfg.model.encoder,
        "seed": str(cfg.seed),
        "machine": f"{machine}, Python {platform.python_version()}, PyTorch {torch.__version__}",
        "command": " ".join(["mllc train", *HydraConfig.get().overrides.task]),
    }


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


COMMANDS: dict[str, Callable[[], Any]] = {"train": train}


def main() -> None:
    """Run `mllc`; exit with code 2 and one sentence if what was given cannot be used."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    command = COMMANDS.get(arguments[0])
    if command is None:
        _refuse(f"'{arguments[0]}' is not a command; choose one of: {', '.join(COMMANDS)}")
    # Hydra then raises what went wrong instead of printing it in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [f"mllc {arguments[0]}", *arguments[1:]]
    try:
        with one_sentence():
            command()
    except KeyboardInterrupt:
        print("mllc: stopped before the training began", file=sys.stderr)
        sys.exit(130)


def _sentence(error: BaseException | None) -> str | None:
    """What to tell the user, if the cause is something the user can mend."""
    hydras = None
    if isinstance(error, OSError) and error.filename:
        mend = "check this path (hydra.run.dir=<folder> sets the output)"
        return f"{error.filename}: {error.strerror}; {mend}"
    while error is not None:
        if isinstance(error, InputError):
            return str(error)
        if isinstance(error, (HydraException, OmegaConfBaseException)):
            hydras = hydras or _plain(str(error))
        elif hydras is not None:
            hydras = None  # Hydra only passes on an error of the code
        error = error.__cause__
    return hydras


def _plain(message: str) -> str:
    """Hydra's message in one line, its advice to add unknown options left out."""
    told, *advice = message.split("\nTo append to your config")
    told = " ".join(told.split("Config search path")[0].split())
    return f"{told} There is no such option; --help lists all." if advice else told


def _refuse(sentence: str, code: int = 2) -> NoReturn:
    print(f"mllc: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":  # as torchrun starts it
    main()
