"""What a plain configuration names to be built, checked before any of it is imported."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

from torch import nn

from pyg_mllc.errors import InputError

ALLOWED = ("pyg_mllc.nn", "pyg_mllc.methods", "pyg_mllc.transforms")
KEYS = ("_target_", "_partial_", "_convert_")  # the last one, of Hydra, has no effect here
# Options of timm and smp that read a file or fetch one.
READING = ("weights", "pretrained", "checkpoint", "cache_dir", "url", "file", "hf_hub", "hf-hub")


def packages(allow: str | Sequence[str] = ()) -> tuple[str, ...]:
    """Return the packages whose classes may be built: ours, and those allowed."""
    return (*ALLOWED, *([allow] if isinstance(allow, str) else allow or ()))


def targets(value: Any) -> Iterator[str]:
    """Return the full names of all that a configuration asks to build."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield str(value["_target_"])
        value = list(value.values())
    if isinstance(value, list | tuple):
        for entry in value:
            yield from targets(entry)


def check(value: Any, allowed: Sequence[str], name: str = "", named: Sequence[str] = ()) -> None:
    """Check everything that a configuration holds, before anything in it is built.

    Args:
        value: the configuration, in plain containers.
        allowed: packages whose code it may name.
        name: of the configuration, for messages.
        named: see `resolve`.

    Raises:
        InputError: naming the entry.
    """
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str) or (key.startswith("_") and key not in KEYS):
                raise InputError(
                    f"{name or 'a configuration'} has the entry {key!r}, which means nothing here"
                )
            if "options" in name.split(".") and any(word in key for word in READING):
                raise InputError(f"{name} may not name files or addresses, got {key}={entry!r}")
            check(entry, allowed, f"{name}.{key}".lstrip("."), named)
        if "_target_" in value:
            resolve(value["_target_"], allowed, name, named)
    elif isinstance(value, list | tuple):
        for entry in value:
            check(entry, allowed, name, named)
    elif not isinstance(value, str | int | float | bool | None):
        raise InputError(
            f"{name}={value!r} is neither number, word nor list, so it cannot be kept in a "
            "checkpoint; give a name in its place"
        )


def resolve(
    target: Any, allowed: Sequence[str], name: str = "", named: Sequence[str] = ()
) -> Callable[..., Any]:
    """Return what a target names; nothing is imported unless it may be.

    Args:
        target: full name, such as `pyg_mllc.nn.Segmenter`.
        allowed: packages whose code may be named.
        name: of the entry, for messages.
        named: full names that may be given besides. Without any, a target must be a class of
            modules; with some, any class or function that the packages allowed define.

    Raises:
        InputError: if it may not be named, or cannot be imported.
    """
    where = name or "a configuration"
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise InputError(f"{where} names {target!r}, which is no class: give one as in mine.Method")
    module, _, last = target.rpartition(".")
    if target in named or any(module == root or module.startswith(f"{root}.") for root in allowed):
        try:
            found = getattr(import_module(module), last)
        except (ImportError, AttributeError) as error:
            raise InputError(f"{where}: {_missing(target, error)}") from error
        if target in named or _defined(found, allowed, bool(named)):
            return found
    if not module:
        raise InputError(
            f"{where} names {target}, which is no class: give it with its module, as in mine.Method"
        )
    choices = f"none of {', '.join(named)}" if named else f"no module of {', '.join(allowed)}"
    raise InputError(
        f"{where} names {target}, which is {choices}, so it is not built; if it is code of yours, "
        f"pass allow=[{target.split('.')[0]}]"
    )


def _defined(found: Any, allowed: Sequence[str], any_code: bool) -> bool:
    """Whether one of the packages defines it, and it is a class of modules or may be any code."""
    roots = {root.split(".")[0] for root in allowed}
    own = str(getattr(found, "__module__", "")).split(".")[0] in roots
    return own and callable(found) and (any_code or _is_module(found))


def _is_module(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, nn.Module)


def _missing(target: str, error: Exception) -> str:
    """Say what could not be imported, and how a module of the user's own is found."""
    told = f"{target} cannot be imported: {error}"
    lacking = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    root = target.split(".")[0]
    if lacking and lacking.split(".")[0] != root:
        told += f"; if it lies in the current folder, name it as well: allow=[{root},{lacking}]"
    return told
