"""Objects from plain configurations, which strangers may have written."""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from pyg_mllc.errors import InputError
from pyg_mllc.utils.targets import KEYS, check, packages

# What an option that cannot be used raises, or one that names what is not there.
MISFITS = (TypeError, ValueError, ImportError)


def build(config: dict[str, Any], allow: str | Sequence[str] = (), **given: Any) -> Any:
    """Build the module that a stranger's configuration describes, and the modules in it.

    A configuration holds numbers, words, lists and mappings; a mapping with `_target_` stands for a
    module, with `_partial_`, too, for a factory of it. Only a class of modules can be a target, and
    only one that the packages allowed define: no function, and nothing that they import. Weights
    are not read: `weights` count as null.

    Args:
        config: with `_target_`, such as `pyg_mllc.nn.Segmenter`, and its options.
        allow: packages or modules whose classes may be built, beside ours.
        **given: further options of the outermost one.

    Raises:
        InputError: if a target is not allowed, or an option is none of its.

    >>> build({"_target_": "pyg_mllc.nn.LabelCorrector", "k": 4}, num_classes=3).k
    4
    """
    check(config, packages(allow))
    try:
        return make(_without_weights(config), **given)
    except (AttributeError, KeyError, RuntimeError) as error:
        raise InputError(f"{config['_target_']} cannot be built so: {error}") from error


def make(config: dict[str, Any], name: str = "", **given: Any) -> Any:
    """Build what a checked configuration describes, and all that is in it.

    Args:
        config: with `_target_` and its options.
        name: of it, for messages.
        **given: further options of the outermost one.

    Raises:
        InputError: naming the entry, if its options cannot be used.
    """
    function, options = _code(config), _options(config, name)
    try:
        return function(**options, **given)
    except InputError:
        raise
    except MISFITS as error:
        reason = " ".join(str(error).split())
        if "required positional" in reason:
            reason += "; with _partial_: true it is made later"
        place = name or f"{config['_target_']} cannot be built so"
        raise InputError(f"{place}: {reason}") from error


def make_factory(config: dict[str, Any], name: str = "") -> partial[Any]:
    """Return a factory of what a checked configuration describes, see `make`."""
    return partial(_code(config), **_options(config, name))


def _made(value: Any, name: str) -> Any:
    """Return what an option stands for; anything but a mapping with `_target_` is itself."""
    if isinstance(value, list | tuple):
        return [_made(entry, name) for entry in value]
    if not isinstance(value, dict):
        return value
    if "_target_" not in value:
        return _options(value, name)
    return make_factory(value, name) if value.get("_partial_") else make(value, name)


def _options(config: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: _made(v, f"{name}.{k}".lstrip(".")) for k, v in config.items() if k not in KEYS}


def _code(config: dict[str, Any]) -> Any:
    """Return the class or function that a configuration is built by."""
    module, _, last = config["_target_"].rpartition(".")
    return getattr(import_module(module), last)


def _without_weights(value: Any) -> Any:
    """Return the same configuration, in which no weights are named."""
    if isinstance(value, list | tuple):
        return [_without_weights(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {k: None if k == "weights" else _without_weights(v) for k, v in value.items()}
