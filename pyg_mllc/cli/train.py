"""`mllc train`: train a method, and its baseline if asked, and write a report."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from pyg_mllc.cli.composition import composing, hydra_command
from pyg_mllc.cli.config_checks import check_choices, method_name, tell_unread
from pyg_mllc.cli.errors import one_sentence, sentence_of, short
from pyg_mllc.cli.overrides import in_quotes, quoted
from pyg_mllc.cli.progress import bar
from pyg_mllc.cli.run_dir import (
    CHANGEABLE,
    COMMAND,
    ERROR,
    LOCK,
    REPORT,
    RUN,
    alone,
    begin_run,
    check_run,
    clear_run,
    given_changes,
    kept_options,
    read_run,
    resuming,
    same_run,
)
from pyg_mllc.cli.trusted_config import TRAINED, allowed, checked_parts, trusted
from pyg_mllc.errors import InputError
from pyg_mllc.evaluation.results import TrainingResult
from pyg_mllc.utils.distributed import rank_and_size
from pyg_mllc.utils.instantiate import make, make_factory
from pyg_mllc.utils.io import atomic_open
from pyg_mllc.utils.provenance import Provenance

if TYPE_CHECKING:
    from pyg_mllc.data import Splits
    from pyg_mllc.inference.checkpoint import Config
    from pyg_mllc.methods import Method
    from pyg_mllc.training import TrainerConfig


def run() -> None:
    """Run `mllc train`; `resume=` is checked first, because Hydra creates its folder.

    Raises:
        InputError: if `resume=` names no run, or does not fit the other options.
    """
    sweep = {"-m", "--multirun"} & set(sys.argv)
    resumed = [word for word in sys.argv[1:] if word.startswith("resume=")]
    if sweep and "TORCHELASTIC_RUN_ID" in os.environ:
        raise InputError("torchrun starts the processes of one run, so leave out --multirun")
    if sweep and resumed:
        raise InputError(
            f"{resumed[0]} goes on with one run, without --multirun; a sweep goes on when it is "
            "started again with the same options and output=<its folder>"
        )
    for option in OverridesParser.create().parse_overrides(resumed):
        check_run(Path(str(option.value())))
    if sweep:  # output= is the folder of all its runs
        sys.argv = [re.sub("^output=", "hydra.sweep.dir=", word) for word in sys.argv]
    _run()


class Stopped(KeyboardInterrupt):
    """Interrupt of a run that is saved and can go on."""


def train(
    *overrides: str,
    output: str | Path | None = None,
    resume: str | Path | None = None,
    allow: Sequence[str] = (),
) -> list[TrainingResult]:
    """Train as `mllc train` does, and write checkpoints, curves and a report.

    `pyg_mllc.train("experiment=demo", "seed=1", output="outputs/demo")` is the same as
    `mllc train experiment=demo seed=1 output=outputs/demo`. For parts made in Python there is
    `pyg_mllc.training.train`.

    Args:
        *overrides: options, as on the command line.
        output: folder of the run; by default a new one in `outputs/`.
        resume: folder of a run to go on with, whose options it takes.
        allow: packages or modules whose code may run: your own layers, methods and data sets in the
            current folder, such as `[mine]`. For a run that goes on, those that it names, too.

    Returns:
        Curves and figures of what was trained: of the baseline, if any, and of the method.

    Raises:
        InputError: if an option cannot be used.
        Stopped: at Ctrl-C or SIGTERM, once the run is saved.
    """
    folders = [f"output={in_quotes(str(output))}"] if output is not None else []
    folders += [f"resume={in_quotes(str(resume))}"] if resume is not None else []
    words = [*map(quoted, overrides), *folders, f"allow=[{','.join(allow)}]"]
    if resume is not None:
        check_run(Path(resume))
    earlier = HydraConfig.instance().cfg
    try:
        with composing():
            cfg = compose("train", words, return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        out = Path(str(resume if resume is not None else cfg.output)).absolute()
        out.mkdir(parents=True, exist_ok=True)
        return _train_alone(cfg, out)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(sentence_of(error) or str(error)) from error
    finally:
        HydraConfig.instance().cfg = earlier


@hydra_command("train")
def _run(cfg: DictConfig) -> float:
    """Train what `cfg` says, and its baseline if it names one; return the last mIoU."""
    out = Path(HydraConfig.get().runtime.output_dir)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        with alone(out):
            return _member(cfg, out)  # if one run fails, the others of the sweep go on
    with one_sentence():  # here, before Hydra adds lines of its own
        return _train_alone(cfg, out)[-1].last_miou


def _train_alone(cfg: DictConfig, out: Path) -> list[TrainingResult]:
    """Train in a folder where nobody else does; a new one goes if it cannot be trained in."""
    from lightning.pytorch.utilities import rank_zero_only

    with alone(out):
        fresh = (
            rank_zero_only.rank == 0  # type: ignore[attr-defined]
            and {path.name for path in out.iterdir()} <= {LOCK}
            and out != Path.cwd()
        )
        try:
            if OmegaConf.is_missing(cfg, "resume"):
                return _train(cfg, out, trusted(cfg))
            # Others may have written the run: only who calls allows code.
            return _train(kept_options(out, given_changes()), out, allowed(cfg), resume=True)
        except Stopped:
            raise
        except (Exception, KeyboardInterrupt) as error:
            if fresh and (isinstance(error, KeyboardInterrupt) or sentence_of(error)):
                clear_run(out, logs_steps="csv" in (cfg.trainer.get("logger") or ()))
            raise


def _member(cfg: DictConfig, out: Path) -> float:
    """Train a run of a sweep; where its folder holds this very run, go on with that."""
    if cfg.overwrite or not (out / RUN).is_file():
        return _train(cfg, out, trusted(cfg))[-1].last_miou
    if not same_run(cfg, read_run(out)):
        raise InputError(
            f"{short(out)} holds a run of other options, and a sweep goes on with the very same "
            "command alone: give another output, or pass overwrite=true"
        )
    if (out / REPORT).exists():
        print(f"ended before: {short(out)}")
        (out / ERROR).unlink(missing_ok=True)
        return TrainingResult.load(out / list(_methods(cfg))[-1] / "result.json").last_miou
    overrides = HydraConfig.get().overrides.task
    changed = [option for option in overrides if option.split("=")[0] in CHANGEABLE]
    return _train(kept_options(out, changed), out, trusted(cfg), resume=True)[-1].last_miou


def _methods(cfg: DictConfig) -> dict[str, str]:
    """Return the parts that a run trains, by folder: the baseline, if any, then the method."""
    own, baseline = method_name(cfg.method), cfg.get("baseline")
    if not baseline:
        return {own: "method"}
    name = method_name(baseline)
    return {f"{name}_baseline" if name == own else name: "baseline", own: "method"}


def _train(
    cfg: DictConfig, out: Path, allow: Sequence[str], resume: bool = False
) -> list[TrainingResult]:
    """Train what options say, with code of the packages allowed."""
    import lightning as L
    from lightning.pytorch.utilities import rank_zero_only

    from pyg_mllc import training
    from pyg_mllc.visualization.report import comparison_table

    check_choices(cfg)
    if type(cfg.get("seed")) is not int or not 0 <= cfg.seed < 2**32:
        raise InputError(f"seed={cfg.get('seed')} is not a whole number of 0 or more")
    parts = checked_parts(cfg, allow, TRAINED)
    factories = {name: make_factory(parts[name], name) for name in ("optimizer", "scheduler")}
    config, splits = make(parts["trainer"], "trainer", **factories), make(parts["data"], "data")
    begins = not resume and rank_zero_only.rank == 0  # type: ignore[attr-defined]
    _check_processes(config, resume)
    _check_folder(out, allow, begins and not cfg.overwrite)
    ended = "ended before, nothing is left to train" if (out / REPORT).exists() else "going on"
    print(f"{ended if resume else 'run'}: {short(out)}")

    def build(name: str) -> "Method":
        L.seed_everything(cfg.seed, verbose=False)
        classes = splits.spec.num_classes
        segmenter = make(parts["model"], "model", num_classes=classes)
        dim = segmenter.feature_dim
        rounds = make(parts["corrector"], "corrector", num_classes=classes, feature_dim=dim)
        return make(parts[name], name, segmenter=segmenter, corrector=rounds)

    trained = _methods(cfg)
    networks = {name: _described(parts, part, splits) for name, part in trained.items()}
    methods = {name: build(part) for name, part in trained.items()}
    splits.label_warnings  # noqa: B018 - refuses labels of a single class; `train` logs the rest
    if begins:
        tell_unread(cfg, HydraConfig.get().overrides.task)
        begin_run(out, cfg, splits)  # all could be built: what was there before may go
    with _goes_on(out, allow):
        runs: list[TrainingResult] = []
        for name in trained:
            method = methods.pop(name)  # one network at a time takes a device's memory
            more = f", {len(splits.unlabeled)} unlabeled" if method.uses_unlabeled else ""
            rich.print(f"[bold]{name}[/]: {len(splits.labeled)} labeled images{more}")
            result = training.train(
                method, splits, config, cfg.seed, out / name, name, resume, networks[name]
            )
            runs.append(result)
        if rank_and_size()[0]:
            return runs  # one process reports
        rich.print(comparison_table(runs))

        _report(cfg, config, splits, method, runs, out)
        return runs


def _check_processes(config: "TrainerConfig", resume: bool) -> None:
    """Raise if several processes are asked for that nobody starts, or that share no folder."""
    if config.processes > 1 and not {"TORCHELASTIC_RUN_ID", "SLURM_NTASKS"} & set(os.environ):
        raise InputError(
            f"trainer.devices={config.devices} trainer.num_nodes={config.num_nodes} need "
            f"{config.processes} processes: torchrun --nproc-per-node N -m pyg_mllc.cli train ... "
            "starts them"
        )
    own_folder = any(word.startswith("output=") for word in HydraConfig.get().overrides.task)
    if config.processes > 1 and not resume and not own_folder:
        raise InputError("output is not given: processes of one training need one folder, output=")


def _check_folder(out: Path, allow: Sequence[str], empty: bool) -> None:
    """Remove what a failure left, and raise if the folder should be empty and holds a run."""
    from lightning.pytorch.utilities import rank_zero_only

    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        for old in (out / ERROR, *out.glob("*/*.ckpt.*.part")):  # the latter are left by a kill
            old.unlink(missing_ok=True)
    if empty and (out / RUN).exists():
        raise InputError(
            f"{short(out)} holds a run: {resuming(out, allow)} goes on with it; or "
            "give another output, or pass overwrite=true"
        )


def _report(
    cfg: DictConfig,
    config: "TrainerConfig",
    splits: "Splits",
    method: "Method",
    runs: Sequence[TrainingResult],
    out: Path,
) -> None:
    """Evaluate the teacher of the last method, and write the report of all runs."""
    from pyg_mllc.evaluation.evaluate import evaluate
    from pyg_mllc.inference.sliding_window import full_size
    from pyg_mllc.visualization.examples import example_figure
    from pyg_mllc.visualization.report import write_report

    predict = full_size(method.predict_teacher, config.window)
    device = next(method.parameters()).device
    with bar("report", len(splits.val), config.enable_progress_bar) as advance:
        evaluation = evaluate(
            predict, splits.val, workers=config.num_workers, device=device, advance=advance
        )
    spec, examples = splits.spec, [example for _, example in evaluation.examples]
    chosen = examples[:: max(1, len(examples) // 4)][:4]
    with atomic_open(out / "examples.png") as file:
        example_figure(chosen, spec.classes, spec.colors).savefig(file, format="png")
    facts = _facts(cfg, config, splits, method, runs[-1].provenance) | {
        "command": (out / COMMAND).read_text(encoding="utf-8")
    }
    write_report(
        out / REPORT, str(cfg.get("name")), runs, evaluation, spec.classes, spec.colors, facts
    )
    print(f"report: {short(out / REPORT)}")


@contextmanager
def _goes_on(out: Path, allow: Sequence[str]) -> Iterator[None]:
    """Raise `Stopped` at Ctrl-C, which says how the run goes on."""
    try:
        yield
    except KeyboardInterrupt:
        again = resuming(out, allow)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            again = f"the same command with output={short(Path(HydraConfig.get().sweep.dir))}"
        raise Stopped(f"stopped; {again} goes on") from None


def _described(parts: "dict[str, Config]", method: str, splits: "Splits") -> "Config":
    """Return what the network is built from, for its checkpoints."""
    from pyg_mllc.inference.checkpoint import describe

    plain = {"model": parts["model"], "corrector": parts["corrector"], "method": parts[method]}
    return describe(splits.spec.classes, splits.spec.colors, splits.labeled.size, **plain)


def _facts(
    cfg: DictConfig,
    config: "TrainerConfig",
    splits: "Splits",
    method: "Method",
    provenance: Provenance,
) -> dict[str, str]:
    """Return what made the results, for the head of the report."""
    labeled, unlabeled, val = len(splits.labeled), len(splits.unlabeled), len(splits.val)
    batch = f"{config.batch_size} labeled + {config.unlabeled_batch_size} unlabeled"
    steps = f"{config.max_steps:,}, each of {batch} images" if method.needs_steps else "none"
    return {
        "data": f"{splits.spec.name}: {labeled} labeled, {unlabeled} unlabeled, {val} validation",
        "steps": steps,
        "encoder": str(cfg.model.get("encoder")),
        "seed": str(cfg.seed),
        **{name: "; ".join(filter(None, values)) for name, values in provenance.items()},
    }
