"""The options of a command, as plain values of the kinds that its file of defaults has."""

import os
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pyg_mllc.cli.composition import config_dir
from pyg_mllc.cli.trusted_config import allowed
from pyg_mllc.utils.user_code import find_named
from pyg_mllc.utils.validation import check_type


def plain_options(cfg: DictConfig) -> dict[str, Any]:
    """Give the options of the command that runs, each of the kind of its default.

    One value stands for a list of it, null for an empty list. Defaults of null take anything. From
    here on, modules that `allow` names are found in the current folder, too.

    Raises:
        InputError: if an option is of another kind.
    """
    file = config_dir() / f"{HydraConfig.get().job.config_name}.yaml"
    values: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    defaults: Any = OmegaConf.to_container(OmegaConf.load(file))
    for name in values.keys() & {n for n, default in defaults.items() if default != "???"}:
        values[name] = _fitting(name, values[name], defaults[name])
    find_named(os.getcwd(), allowed(cfg))
    return values


def _fitting(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, list):
        parts = value if isinstance(value, list) else [] if value is None else [value]
        for part in parts:
            check_type(name, part, type(default[0]) if default else None)
        return parts
    if not (value is None and isinstance(default, str)):  # a word may be left out
        check_type(name, value, type(default))
    return value
