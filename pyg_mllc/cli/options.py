"""The options of a command, as the plain values that its function takes."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Union, cast, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from pyg_mllc.cli.trusted_config import allowed
from pyg_mllc.utils.user_code import find_named
from pyg_mllc.utils.validation import TYPES, check_type

if TYPE_CHECKING:
    from pyg_mllc.inference.checkpoint import Config


def plain_options(cfg: DictConfig, function: Callable[..., object]) -> "Config":
    """Return the options of a command, each of the type that its function declares for it.

    A single value stands for a list of it, null for an empty list. From here on, modules that
    `allow` names are found in the current folder, too.

    Args:
        cfg: of the command; what the function has no parameter for is left out.
        function: that the command calls.

    Raises:
        InputError: if an option is of another type.
    """
    values = cast("Config", OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))
    types = {name: kind for name, kind in function.__annotations__.items() if name != "return"}
    options = {name: _fit(name, values[name], types[name]) for name in types.keys() & values.keys()}
    find_named(os.getcwd(), allowed(cfg))
    return options


def _fit(name: str, value: object, declared: object) -> object:
    kinds = get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)
    if value is None and NoneType in kinds:
        return None
    if Path in kinds and int not in kinds and type(value) is int:  # a folder may be called 2024
        return str(value)
    lists = [get_args(kind)[0] for kind in kinds if get_origin(kind) is Sequence]
    scalars = [kind for kind in kinds if kind in TYPES]
    if lists and not scalars:
        parts = value if isinstance(value, list) else [] if value is None else [value]
        for part in parts:
            check_type(name, part, lists[0])
        return parts
    if len(scalars) == 1 and not lists:
        check_type(name, value, scalars[0])
    return value
