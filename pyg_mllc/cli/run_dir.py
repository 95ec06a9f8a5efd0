"""Folder of a run: what it holds before training, and how a run resumes from it."""

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pyg_mllc.cli.errors import short
from pyg_mllc.errors import InputError
from pyg_mllc.utils.io import atomic_open

if TYPE_CHECKING:
    from pyg_mllc.data import Splits

RUN = "run.yaml"  # all options of a run, in its folder
PARTITION = "partition"  # lists of its images
REPORT = "report.html"  # written last
COMMAND = "command.txt"  # that began the run
ERROR = "error.txt"  # why a run of a sweep failed
LOCK = "train.lock"  # of the process that trains in the folder
FIRST = {  # files that there are before anything is trained
    RUN, COMMAND, LOCK, *(f"{PARTITION}/{part}.txt" for part in ("labeled", "unlabeled", "val")),
}  # fmt: skip
CHANGEABLE = (
    "trainer.num_workers", "trainer.enable_progress_bar", "trainer.logger", "trainer.accelerator",
    "trainer.on_unreadable", "data.cache", "allow",
)  # fmt: skip


class OccupiedError(InputError):
    """Error for a folder in which another process trains."""


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Lock the folder of a run, so that no other training writes to it at the same time.

    Of several processes of one training, the first holds the lock. On a file system without locks,
    none does.

    Args:
        out: folder of the run.

    Raises:
        OccupiedError: if another process trains in it.
        OSError: if it cannot be written to.
    """
    from lightning.pytorch.utilities import rank_zero_only

    if rank_zero_only.rank:  # type: ignore[attr-defined]
        yield
        return
    try:
        held: AbstractContextManager[object] = FileLock(out / LOCK).acquire(blocking=False)
    except Timeout:
        raise OccupiedError(
            f"{short(out)} is being trained by another process; wait for it, stop it, or give "
            f"another output (if none does, remove {short(out / LOCK)})"
        ) from None
    except (OSError, NotImplementedError) as error:
        if getattr(error, "filename", None):
            raise
        print(f"note: no lock in {short(out)} ({error}); start no second training there")
        held = nullcontext()
    with held:
        yield


def begin_run(out: Path, cfg: DictConfig, splits: "Splits") -> None:
    """Write the options and image lists of a run, and put away the results of an earlier one.

    Args:
        out: folder of the run.
        cfg: its options.
        splits: its data.
    """
    from pyg_mllc.data import write_partition
    from pyg_mllc.inference.checkpoint import FORMAT

    for old in (out / RUN, out / REPORT, *out.glob("*/result.json")):
        old.unlink(missing_ok=True)
    for logs in (*out.glob("*/tensorboard"), *out.glob("*/from_step_*")):
        shutil.rmtree(logs, ignore_errors=True)
    for last in out.glob("*/last.ckpt"):  # which resume= must not go on with
        with suppress(FileNotFoundError):  # another process was faster
            last.replace(last.with_name("earlier.ckpt"))
    write_partition(splits, out / PARTITION, cfg.data.get("root"))
    hydra = HydraConfig.get()
    own = [s.path for s in hydra.runtime.config_sources if s.provider == "command-line"]
    words = [*(f"--config-dir={folder}" for folder in own), *hydra.overrides.task]
    command = shlex.join(["mllc", "train", *words])
    options = f"format: {FORMAT}  # of this file\n{OmegaConf.to_yaml(cfg, resolve=True)}"
    for name, text in ((COMMAND, command), (RUN, options)):
        with atomic_open(out / name) as file:  # the last of them makes it a run
            file.write(text.encode())


def check_run(folder: Path) -> None:
    """Raise if a folder holds no run to resume.

    Args:
        folder: value of `resume=`.

    Raises:
        InputError: if it has no file of options.
    """
    if not (folder / RUN).is_file():
        raise InputError(f"resume={folder} is no folder of a run: it has no {RUN}")


def given_changes() -> list[str]:
    """Return the overrides that the command line gives for a resumed run.

    Raises:
        InputError: if one of them may not change.
    """
    changes = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    for change in changes:
        if change.split("=")[0] not in CHANGEABLE:
            raise InputError(
                f"resume= takes all options from the run; leave out {change} "
                f"(only {', '.join(CHANGEABLE)} may change; a longer training is a new run)"
            )
    return changes


def kept_options(out: Path, changed: Sequence[str] = ()) -> DictConfig:
    """Return the options of an earlier run, with changes.

    Args:
        out: folder of the run.
        changed: overrides, such as `trainer.num_workers=0`.

    Raises:
        InputError: as `read_run` and `check_format`.
    """
    cfg = read_run(out)
    check_format(cfg, out)
    del cfg["format"]
    cfg.pop("allow", None)  # the author of the file allows no code, only the command line does
    for change in OverridesParser.create().parse_overrides(list(changed)):
        OmegaConf.update(cfg, change.key_or_group, change.value())
    if (out / PARTITION / "labeled.txt").is_file():
        cfg.data.partition = str(out / PARTITION)  # the same images, whatever else is there by now
    return cfg


def read_run(out: Path) -> DictConfig:
    """Return the options of a run, which somebody else may have written.

    Args:
        out: folder of the run.

    Raises:
        InputError: if the file holds no options of a run, or more than plain values.
    """
    file = out / RUN
    try:
        cfg = OmegaConf.load(file)
        plain = OmegaConf.to_container(cfg, resolve=False)
    except (YAMLError, OmegaConfBaseException, OSError, ValueError, RecursionError) as error:
        if getattr(error, "filename", None):
            raise
        raise InputError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    if "${" in str(plain):
        raise InputError(f"{file} holds ${{...}}, which no run writes; put values in its place")
    if not isinstance(plain, dict) or not plain:
        raise InputError(f"{file} holds no options of a run")
    return cast(DictConfig, cfg)


def check_format(cfg: DictConfig, out: Path) -> None:
    """Raise if another version of pyg_mllc began a run.

    Args:
        cfg: options of the run.
        out: folder of the run.

    Raises:
        InputError: if so; the message says what to do.
    """
    from pyg_mllc.inference.checkpoint import FORMAT

    if cfg.get("format") != FORMAT:
        raise InputError(
            f"{short(out / RUN)} is of another version of pyg_mllc, such as 0.1, whose options "
            "have other names; train anew, or go on with that version"
        )


def resuming(out: Path, allow: Sequence[str] = ()) -> str:
    """Return the command that resumes a run.

    Args:
        out: folder of the run.
        allow: packages whose code may run.
    """
    more = f" allow=[{','.join(allow)}]" if allow else ""
    return f"mllc train resume={short(out)}{more}"


def same_run(cfg: DictConfig, other: DictConfig) -> bool:
    """Return whether two runs differ only in their folders and in options that may change.

    Args:
        cfg: options of a run.
        other: options of another run.
    """
    both = [OmegaConf.create(OmegaConf.to_yaml(c, resolve=True)) for c in (cfg, other)]
    for each in both:
        for option in ("output", "overwrite", "resume", "format", *CHANGEABLE):
            OmegaConf.update(each, option, None)
    return bool(both[0] == both[1])


def clear_run(out: Path, logs_steps: bool) -> None:
    """Remove the folder of a run that ended before it trained, and those above it left empty.

    Only who holds the folder may, see `alone`.

    Args:
        out: the folder.
        logs_steps: whether the first step would have left `metrics.csv`; without it, logs stay.
    """
    with suppress(OSError):  # something else is in it, or another process has removed it
        left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        log = re.compile(r"[^/]+/(hparams\.yaml|tensorboard/.*)")
        if {name for name in left if not (logs_steps and log.fullmatch(name))} <= FIRST:
            for name in sorted(left, key=lambda name: name == LOCK):  # as long as it is held
                (out / name).unlink()
            inside = sorted((path for path in out.rglob("*") if path.is_dir()), reverse=True)
            above = [folder for folder in out.parents if Path.cwd() in folder.parents]
            for folder in (*inside, out, *above):
                folder.rmdir()
