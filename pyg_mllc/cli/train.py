"""`mllc train`: train a method, and its baseline if asked, and write a report."""

import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from pyg_mllc.cli.progress import bar
from pyg_mllc.cli.sentences import one_sentence, options_of, refuse, short
from pyg_mllc.errors import InputError
from pyg_mllc.processes import rank_and_size
from pyg_mllc.writing import whole_file

RUN = "run.yaml"  # all options of a run, in its folder
PARTITION = "partition"  # lists of its images
REPORT = "report.html"  # written last
COMMAND = "command.txt"  # that began the run
ERROR = "error.txt"  # why a run of a sweep failed
FIRST = {  # files that there are before anything is trained
    RUN, COMMAND, *(f"{PARTITION}/{part}.txt" for part in ("labeled", "unlabeled", "val")),
}  # fmt: skip
CHANGEABLE = (
    "trainer.workers", "trainer.progress", "trainer.loggers", "trainer.accelerator", "data.cache",
)  # fmt: skip


def run() -> None:
    """Run `mllc train`, unless it shall go on with what is no run: Hydra would make its folder."""
    sweep = {"-m", "--multirun"} & set(sys.argv)
    given = [word for word in sys.argv[1:] if word.startswith("resume=")]
    if sweep and "TORCHELASTIC_RUN_ID" in os.environ:
        raise InputError("torchrun starts the processes of one run, so leave out --multirun")
    if sweep and given:
        raise InputError(
            f"{given[0]} goes on with one run, without --multirun; a sweep goes on when it is "
            "started again with the same options and output=<its folder>"
        )
    for option in OverridesParser.create().parse_overrides(given):
        folder = Path(str(option.value()))
        if not (folder / RUN).is_file():
            raise InputError(f"resume={folder} is no folder of a run: it has no {RUN}")
    if sweep:  # output= is the folder of all its runs
        sys.argv = [re.sub("^output=", "hydra.sweep.dir=", word) for word in sys.argv]
    _run()


@hydra.main(config_path="pkg://pyg_mllc.configs", config_name="train", version_base="1.3")
def _run(cfg: DictConfig) -> float:
    """Train what `cfg` says, and its baseline if it names one; return the last mIoU."""
    out = Path(HydraConfig.get().runtime.output_dir)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return _member(cfg, out)  # if one run fails, the others of the sweep go on
    resume = not OmegaConf.is_missing(cfg, "resume")
    fresh = not any(out.iterdir()) and out != Path.cwd()
    try:
        with one_sentence():  # here, before Hydra adds lines of its own
            return _train(_kept(out, _changes()) if resume else cfg, out, resume)
    except (SystemExit, KeyboardInterrupt) as stop:
        if fresh and getattr(stop, "code", 2) == 2:
            _clear(out)
        raise


def _clear(out: Path) -> None:
    """Remove the folder of a run that ended before it trained, and those above it left empty."""
    with suppress(OSError):  # something else is in it, or another process has removed it
        left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        if left <= FIRST:
            for name in left:
                (out / name).unlink()
            above = [folder for folder in out.parents if Path.cwd() in folder.parents]
            for folder in (out / PARTITION, out, *above):
                if folder.exists():
                    folder.rmdir()


def _member(cfg: DictConfig, out: Path) -> float:
    """Train a run of a sweep; where its folder holds this very run, go on with that."""
    from pyg_mllc.results import Run

    if cfg.overwrite or not (out / RUN).is_file() or not _same(cfg, OmegaConf.load(out / RUN)):
        return _train(cfg, out)
    if (out / REPORT).exists():
        print(f"ended before: {short(out)}")
        (out / ERROR).unlink(missing_ok=True)
        return Run.load(out / list(_methods(cfg))[-1] / "result.json").last_miou
    given = HydraConfig.get().overrides.task
    return _train(_kept(out, [o for o in given if o.split("=")[0] in CHANGEABLE]), out, True)


def _same(cfg: DictConfig, kept: Any) -> bool:
    """Whether two runs differ in nothing but where they lie, and what may change."""
    both: list[Any] = [OmegaConf.create(OmegaConf.to_yaml(c, resolve=True)) for c in (cfg, kept)]
    for each in both:
        for option in ("output", "overwrite", "resume", *CHANGEABLE):
            OmegaConf.update(each, option, None)
    return bool(both[0] == both[1])


def _methods(cfg: DictConfig) -> dict[str, DictConfig]:
    """What a run trains, by the names of folders: the baseline, if any, then the method."""
    found = {}
    for config in filter(None, (cfg.get("baseline"), cfg.method)):
        name = config._target_.rsplit(".", 1)[-1].lower()
        if config is not cfg.method and config._target_ == cfg.method._target_:
            name += "_baseline"
        found[name] = config
    return found


def _train(cfg: DictConfig, out: Path, resume: bool = False) -> float:
    import lightning as L
    import rich
    from lightning.pytorch.utilities import rank_zero_only

    from pyg_mllc import training
    from pyg_mllc.evaluation import evaluate, full_size
    from pyg_mllc.pictures import example_figure
    from pyg_mllc.report import comparison_table, write_report

    if type(cfg.seed) is not int or not 0 <= cfg.seed < 2**32:
        raise InputError(f"seed={cfg.seed} is not a whole number of 0 or more")
    settings, splits = instantiate(cfg.trainer), instantiate(cfg.data)
    processes = settings.devices * settings.nodes
    if processes > 1 and not {"TORCHELASTIC_RUN_ID", "SLURM_NTASKS"} & set(os.environ):
        raise InputError(
            f"trainer.devices={settings.devices} trainer.nodes={settings.nodes} need {processes} "
            "processes: torchrun --nproc-per-node N -m pyg_mllc.cli train ... starts them"
        )
    begins = not resume and rank_zero_only.rank == 0  # type: ignore[attr-defined]
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        for old in (out / ERROR, *out.glob("*/*.ckpt.*.part")):  # the latter are left by a kill
            old.unlink(missing_ok=True)
    if begins and (out / RUN).exists() and not cfg.overwrite:
        raise InputError(
            f"{short(out)} holds a run: mllc train resume={short(out)} goes on with it; or "
            "give another output, or pass overwrite=true"
        )
    ended = "ended before, nothing is left to train" if (out / REPORT).exists() else "going on"
    print(f"{ended if resume else 'run'}: {short(out)}")

    def build(config: DictConfig) -> Any:
        L.seed_everything(cfg.seed, verbose=False)
        with options_of("model"):
            make = instantiate(cfg.model, _convert_="all")  # to plain lists, as PyG wants them
            segmenter = make(num_classes=splits.spec.num_classes)
        with options_of("corrector"):
            corrector = instantiate(cfg.corrector, _convert_="all")(
                num_classes=splits.spec.num_classes, feature_dim=segmenter.feature_dim
            )
        with options_of("method"):
            make = instantiate(config, _convert_="all")
            return make(segmenter=segmenter, corrector=corrector)

    configs = _methods(cfg)
    networks = {name: _described(cfg, config, splits) for name, config in configs.items()}
    methods = {name: build(config) for name, config in configs.items()}
    if begins:
        _begin(out, cfg, splits)  # all could be built: what was there before may go
    runs: list[Any] = []
    for name, method in methods.items():
        more = f", {len(splits.unlabeled)} unlabeled" if method.uses_unlabeled else ""
        rich.print(f"[bold]{name}[/]: {len(splits.labeled)} labeled images{more}")
        try:
            trained = training.train(
                method, splits, settings, cfg.seed, out / name, name, resume, networks[name]
            )
        except KeyboardInterrupt:
            again = f"mllc train resume={short(out)}"
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                again = f"the same command with output={short(Path(HydraConfig.get().sweep.dir))}"
            refuse(f"stopped; {again} goes on", 130)
        runs.append(trained)
    if rank_and_size()[0]:
        return runs[-1].last_miou  # one process reports
    rich.print(comparison_table(runs))

    predict, device = full_size(method.teach, settings.window), next(method.parameters()).device
    with bar("report", len(splits.val), settings.progress) as advance:
        evaluation = evaluate(
            predict, splits.val, workers=settings.workers, device=device, advance=advance
        )
    spec, examples = splits.spec, [example for _, example in evaluation.examples]
    chosen = examples[:: max(1, len(examples) // 4)][:4]
    with whole_file(out / "examples.png") as file:
        example_figure(chosen, spec.classes, spec.colors).savefig(file, format="png")
    facts = _facts(cfg, splits) | {"command": (out / COMMAND).read_text(encoding="utf-8")}
    write_report(out / REPORT, cfg.name, runs, evaluation, spec.classes, spec.colors, facts)
    print(f"report: {short(out / REPORT)}")
    return runs[-1].last_miou


def _begin(out: Path, cfg: DictConfig, splits: Any) -> None:
    """Write what the run is, and put away what is left of one that it takes the place of."""
    from pyg_mllc.data import write_partition

    for old in (out / RUN, out / REPORT, *out.glob("*/result.json")):
        old.unlink(missing_ok=True)
    for logs in (*out.glob("*/tensorboard"), *out.glob("*/from_step_*")):
        shutil.rmtree(logs, ignore_errors=True)
    for last in out.glob("*/last.ckpt"):  # which resume= must not go on with
        with suppress(FileNotFoundError):  # another process was faster
            last.replace(last.with_name("earlier.ckpt"))
    write_partition(splits, out / PARTITION, cfg.data.get("root"))
    command = shlex.join(["mllc", "train", *HydraConfig.get().overrides.task])
    for name, text in ((COMMAND, command), (RUN, OmegaConf.to_yaml(cfg, resolve=True))):
        with whole_file(out / name) as file:  # the last of them makes it a run
            file.write(text.encode())


def _changes() -> list[str]:
    """What the command line changes of the run that goes on."""
    changes = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    for change in changes:
        if change.split("=")[0] not in CHANGEABLE:
            raise InputError(
                f"resume= takes all options from the run; leave out {change} "
                f"(only {', '.join(CHANGEABLE)} may change; a longer training is a new run)"
            )
    return changes


def _kept(out: Path, changes: Sequence[str] = ()) -> DictConfig:
    """The options of an earlier run, and what changes of them."""
    cfg = OmegaConf.merge(OmegaConf.load(out / RUN), OmegaConf.from_dotlist(list(changes)))
    if (out / PARTITION / "labeled.txt").is_file():
        cfg.data.partition = str(out / PARTITION)  # the same images, whatever else is there by now
    return cast(DictConfig, cfg)


def _described(cfg: DictConfig, method: DictConfig, splits: Any) -> dict[str, Any]:
    """What the network is built from, for its checkpoints."""
    from pyg_mllc.checkpoints import describe

    parts = {"model": cfg.model, "corrector": cfg.corrector, "method": method}
    plain: dict[str, Any] = {
        name: OmegaConf.to_container(part, resolve=True) for name, part in parts.items()
    }
    return describe(splits.spec.classes, splits.spec.colors, splits.labeled.size, **plain)


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
    }
