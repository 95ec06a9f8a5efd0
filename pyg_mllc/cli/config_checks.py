"""Checks of the choices of config groups, and of options without an effect."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from hydra.errors import MissingConfigException
from omegaconf import DictConfig

from pyg_mllc.cli.composition import experiment_rows
from pyg_mllc.errors import InputError


def check_choices(cfg: DictConfig) -> None:
    """Raise if an override selects no config group, so that nothing would read it.

    Args:
        cfg: options of a run.

    Raises:
        InputError: if so; the message says how to write it.
    """
    stray, baseline = cfg.get("experiment"), cfg.get("baseline")
    if stray:
        raise InputError(
            f"the file of this experiment sets {', '.join(f'experiment.{name}' for name in stray)},"
            " which nothing reads: its first line must be '# @package _global_'"
        )
    if isinstance(baseline, str):
        raise InputError(f"baseline={baseline} names no method; write method@baseline={baseline}")


MEMORY = r"((frozen_encoder|evidence)@)?method\.memory"  # options of what correction needs


def method_name(method: DictConfig) -> str:
    """Return the name of a method in folders and messages.

    Args:
        method: options of the method, with its `_target_`.
    """
    return str(method._target_).rsplit(".", 1)[-1].lower()


def tell_unread(cfg: DictConfig, options: Iterable[str]) -> None:
    """Print the options that have no effect, because of other options.

    Args:
        cfg: options of a run.
        options: overrides of the command line.
    """
    unread = dict(_unread(cfg))
    for option in options:
        for pattern, reason in unread.items():
            if re.match(rf"\+*({pattern})\b", option):
                print(f"no effect: {option}, for {reason}")
                break


def _unread(cfg: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield patterns of options that have no effect, and the reason."""
    if not cfg.method.get("correct", True):
        why = f"{method_name(cfg.method)} corrects nothing unless method.correct=true"
        yield rf"corrector|{MEMORY}", why
    elif not cfg.corrector.get("rounds", 1):
        yield MEMORY, "corrector.rounds=0 corrects nothing"
    levels = cfg.corrector.get("levels", "both")
    anchors = cfg.method.get("memory", {}).get("anchors")
    if not anchors:
        options = r"corrector=bayes|corrector\.(anchor_rule|anchor_share|anchor_temperature)"
        why = "there are no anchors; method.memory.anchors=4000 keeps some"
        yield rf"{options}|method\.student_anchors", why
    if levels in ("class", "none"):
        if not anchors and (levels == "none" or cfg.corrector.get("feature_conv") == "affinity"):
            yield r"corrector\.k", f"corrector.levels={levels} looks for no neighbors"
        options = r"corrector\.(conv|blend|learn_blend|dynamic_graph)"
        yield options, f"corrector.levels={levels} moves no labels"
    if levels in ("semantic", "none"):
        yield r"corrector\.feature_conv", f"corrector.levels={levels} moves no features"


def what_there_is(error: MissingConfigException) -> str | None:
    """Describe the choices of a group, in the packages and folders that Hydra looked into.

    For the name of a folder, these are all choices in it. Otherwise they are similar names, the
    choices at the top, and the folders.

    Args:
        error: error of Hydra about a missing choice.

    Returns:
        The description; None if the error is not about a group.
    """
    group, _, wanted = (error.missing_cfg_file or "").partition("/")
    names = _choices(group, str(error))
    if not wanted or not names:
        return None
    wanted = wanted.rstrip("/")
    inside = [name for name in names if name.startswith(f"{wanted}/")]
    if inside:
        return f"{group}={wanted} is a folder; choose one of: {', '.join(inside)}"
    near = get_close_matches(wanted, names)
    meant = f"did you mean {' or '.join(near)}? There are" if near else "there are"
    top = [name for name in names if "/" not in name]
    folders = sorted({f"{name.partition('/')[0]}/" for name in names if "/" in name})
    more = f", and in folders, which {group}=<folder> lists, {', '.join(folders)}" * bool(folders)
    return f"there is no {group}={wanted}; {meant} {', '.join(top)}{more}"


def _choices(group: str, message: str) -> list[str]:
    """Return the names of a group's files, in the folders of Hydra's message, and of rows."""
    sources = re.findall(r"path=(pkg|file)://(.+)$", message, re.MULTILINE)
    roots = [Path(str(files(path))) if kind == "pkg" else Path(path) for kind, path in sources]
    names = {
        file.relative_to(root / group).with_suffix("").as_posix()
        for root in roots
        for file in (root / group).rglob("*.yaml")
    }
    return sorted(names | experiment_rows().keys() if group == "experiment" else names)
