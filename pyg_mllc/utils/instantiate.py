"""Safe instantiation of untrusted configurations."""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from pyg_mllc.errors import InputError
from pyg_mllc.utils.targets import KEYS, check, packages

# Errors that unusable options raise.
MISFITS = (TypeError, ValueError, ImportError)


def build(config: dict[str, Any], allow: str | Sequence[str] = (), **options: Any) -> Any:
    """Build the module that an untrusted configuration describes, and the modules in it.

    A configuration holds numbers, strings, lists and mappings. A mapping with `_target_` stands for
    a module; with `_partial_` as well, for a factory of it. Targets must be module classes that
    allowed packages define, not functions or imports. Weights are not read: `weights` are null.

    Args:
        config: Mapping with `_target_`, such as `pyg_mllc.nn.Segmenter`, and its options.
        allow: Packages or modules whose classes may be built, besides ours.
        **options: Further options of the outermost module.

    Returns:
        The module.

    Raises:
        InputError: If a target is not allowed, or an option is unknown.

    Example:
        >>> build({"_target_": "pyg_mllc.nn.LabelCorrector", "k": 4}, num_classes=3).options.k
        4
    """
    check(config, packages(allow))
    try:
        return make(_without_weights(config), **options)
    except (AttributeError, KeyError, RuntimeError) as error:
        raise InputError(f"{config['_target_']} cannot be built so: {error}") from error


def make(config: dict[str, Any], name: str = "", **options: Any) -> Any:
    """Build the object that a checked configuration describes, and the objects in it.

    Args:
        config: Mapping with `_target_` and its options.
        name: Name of the configuration, for messages.
        **options: Further options of the outermost object.

    Returns:
        The object.

    Raises:
        InputError: If options cannot be used, naming the entry.
    """
    function, configured = _code(config), _options(config, name)
    try:
        return function(**configured, **options)
    except InputError:
        raise
    except MISFITS as error:
        reason = " ".join(str(error).split())
        if "required positional" in reason:
            reason += "; with _partial_: true it is made later"
        place = name or f"{config['_target_']} cannot be built so"
        raise InputError(f"{place}: {reason}") from error


def make_factory(config: dict[str, Any], name: str = "") -> partial[Any]:
    """Return a factory of the object that a checked configuration describes, see `make`.

    Args:
        config: Mapping with `_target_` and its options.
        name: Name of the configuration, for messages.

    Raises:
        InputError: If the options of an object in it cannot be used.
    """
    return partial(_code(config), **_options(config, name))


def _made(value: Any, name: str) -> Any:
    """Build the value of an option; only mappings with `_target_` are objects."""
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
