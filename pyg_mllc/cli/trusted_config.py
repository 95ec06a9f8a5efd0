"""The parts of a run, checked before anything is imported or built."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from pyg_mllc.errors import InputError
from pyg_mllc.utils.user_code import find_named

if TYPE_CHECKING:
    from pyg_mllc.inference.checkpoint import Config

NETWORK = ("model", "corrector", "method", "baseline")
NAMED = {  # what parts that are no networks are made by
    "data": tuple(f"pyg_mllc.data.{name}" for name in ("folder", "load_dataset", "textures")),
    "trainer": ("pyg_mllc.training.TrainerConfig",),
    "optimizer": tuple(
        f"torch.optim.{name}"
        for name in (
            "Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "NAdam",
            "RAdam", "RMSprop", "Rprop", "SGD",
        )
    ),
    "scheduler": tuple(  # those that take plain options and scale the rate of each group
        f"torch.optim.lr_scheduler.{name}"
        for name in (
            "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR",
            "LinearLR", "MultiStepLR", "PolynomialLR", "StepLR",
        )
    ),
}  # fmt: skip
TRAINED = (*NAMED, "model", "corrector", "method")  # what a training needs


def allowed(cfg: DictConfig) -> list[str]:
    """Return the packages that `allow` names.

    Args:
        cfg: options of a command.

    Raises:
        InputError: if a word is not the name of a package.
    """
    value = cfg.get("allow") or []
    words = [value] if isinstance(value, str) else list(map(str, value))
    for word in words:
        if not all(part.isidentifier() for part in word.split(".")) or word.endswith(".py"):
            raise InputError(f"allow={word} names no package: of a file mine.py it is allow=[mine]")
    return words


def trusted(cfg: DictConfig) -> list[str]:
    """Return the packages that the user allows: in `allow`, and by naming layers and methods.

    Args:
        cfg: options of the command line, not of a run's file, which others may have written.
    """
    from pyg_mllc.utils.targets import targets

    named = {target.split(".")[0] for part in NETWORK for target in targets(_plain(cfg, part))}
    words = allowed(cfg)
    return [*words, *sorted(root for root in named - {*words, "pyg_mllc"} if root.isidentifier())]


def checked_parts(
    cfg: DictConfig,
    allow: Sequence[str],
    needed: Sequence[str] = ("data",),
    built: Sequence[str] = (*NAMED, *NETWORK),
) -> "dict[str, Config]":
    """Return the parts of a configuration in plain containers, all that they name being allowed.

    Modules of the packages allowed are found in the current folder, too, from here on.

    Args:
        cfg: options of a command.
        allow: packages whose code may run, in addition to pyg_mllc.
        needed: parts that there must be.
        built: parts that will be built; what others name is not imported if it is known.

    Returns:
        What there is of data, trainer, optimizer, scheduler, model, corrector, method and baseline,
        by name.

    Raises:
        InputError: naming the entry, if one names what is not allowed.
    """
    from pyg_mllc.utils.targets import check, packages

    find_named(os.getcwd(), allow)
    parts = {name: _plain(cfg, name) for name in (*NAMED, *NETWORK)}
    parts = {name: part for name, part in parts.items() if part is not None or name in needed}
    for name, part in parts.items():
        if not isinstance(part, dict) or "_target_" not in part:
            raise InputError(f"{name}={part} is no part of a run: it needs options and a _target_")
        if name in NAMED:
            check(part, allow, name, NAMED[name], name in built)
        else:
            check(part, packages(allow), name, built=name in built)
    return parts


def _plain(cfg: DictConfig, name: str) -> Any:
    """Return a part in plain containers, each `${...}` in it replaced by what it stands for."""
    part = cfg.get(name)
    if not OmegaConf.is_config(part):
        return part
    return OmegaConf.to_container(part, resolve=True, throw_on_missing=True)
