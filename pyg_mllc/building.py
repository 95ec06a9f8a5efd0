"""Modules from plain configurations, which strangers may have written."""

from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from pyg_mllc.errors import InputError

ALLOWED = ("pyg_mllc.nn", "pyg_mllc.methods", "pyg_mllc.augment")
KEYS = ("_target_", "_partial_", "_convert_")  # the last tells Hydra what is so here anyhow
# Options of timm and smp that read a file or fetch one.
READING = ("weights", "pretrained", "checkpoint", "cache_dir", "url", "file", "hf_hub", "hf-hub")


def packages(allow: str | Sequence[str] = ()) -> tuple[str, ...]:
    """Packages whose classes may be built: ours, and those allowed."""
    return (*ALLOWED, *([allow] if isinstance(allow, str) else allow or ()))


def targets(value: Any) -> Iterator[str]:
    """All that a configuration names to be built."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield str(value["_target_"])
        value = list(value.values())
    if isinstance(value, list | tuple):
        for entry in value:
            yield from targets(entry)


def build(config: dict[str, Any], allow: str | Sequence[str] = (), **given: Any) -> Any:
    """Build the module that a configuration describes, and the modules in it.

    A configuration holds numbers, words, lists and mappings; a mapping with `_target_` stands for a
    module, with `_partial_`, too, for a factory of it. Only a class of modules can be a target, and
    only one that the packages allowed define: no function, and nothing that they import. Weights
    are not read: `weights` count as null.

    Args:
        config: with `_target_`, such as `pyg_mllc.nn.Segmenter`, and its options.
        allow: packages or modules whose classes may be built, beside those of `ALLOWED`.
        **given: further options of the outermost one.

    Raises:
        InputError: if a target is not allowed, or an option is none of its.

    >>> build({"_target_": "pyg_mllc.nn.LabelCorrector", "k": 4}, num_classes=3).k
    4
    """
    allowed = packages(allow)
    check(config, allowed)
    made = _made({**config, "_partial_": True}, allowed)
    try:
        return made(**given)
    except InputError:
        raise
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{config['_target_']} cannot be built so: {error}") from error


def check(value: Any, allowed: Sequence[str], name: str = "") -> None:
    """Refuse whatever a configuration may not hold, before anything in it is built.

    Raises:
        InputError: naming the entry.
    """
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str) or (key.startswith("_") and key not in KEYS):
                raise InputError(f"a configuration has the entry {key!r}, which means nothing here")
            options = name == "options" or name.startswith("options.")
            if options and any(word in key for word in READING):
                raise InputError(f"options may not name files or addresses, got {key}={entry!r}")
            check(entry, allowed, f"{name}.{key}" if options else key)
        if "_target_" in value:
            resolve(value["_target_"], allowed)
    elif isinstance(value, list | tuple):
        for entry in value:
            check(entry, allowed, name)
    elif not isinstance(value, str | int | float | bool | None):
        raise InputError(
            f"{name}={value!r} is neither number, word nor list, so it cannot be kept in a "
            "checkpoint; give a name in its place"
        )


def resolve(target: Any, allowed: Sequence[str]) -> type[nn.Module]:
    """Give the class of modules that a target names.

    Raises:
        InputError: if it cannot be imported, is none, or one that the packages allowed do not
            define.
    """
    module, _, name = str(target).rpartition(".")
    if any(module == root or module.startswith(f"{root}.") for root in allowed):
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise InputError(f"{target} cannot be imported: {error}") from error
        roots = {root.split(".")[0] for root in allowed}
        if (
            isinstance(found, type)
            and issubclass(found, nn.Module)
            and found.__module__.split(".")[0] in roots
        ):
            return found
    if not module:
        raise InputError(
            f"a configuration names {target}, which is no class: give it with its module, as in "
            "mine.Method"
        )
    raise InputError(
        f"a configuration names {target}, which is no module of {', '.join(allowed)}, so it is not "
        f"built; if it is code of yours, pass allow=[{str(target).split('.')[0]}]"
    )


def _made(value: Any, allowed: Sequence[str]) -> Any:
    if isinstance(value, list | tuple):
        return [_made(entry, allowed) for entry in value]
    if not isinstance(value, dict):
        return value
    options = {k: _made(v, allowed) for k, v in value.items() if k not in KEYS}
    if "_target_" not in value:
        return options
    if "weights" in options:
        options["weights"] = None
    cls = resolve(value["_target_"], allowed)
    return partial(cls, **options) if value.get("_partial_") else cls(**options)
