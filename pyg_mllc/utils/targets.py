"""Checks of the targets in a plain configuration, before anything is imported."""

import ast
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pyg_mllc.errors import InputError

ALLOWED = ("pyg_mllc.nn", "pyg_mllc.methods", "pyg_mllc.losses", "pyg_mllc.transforms")
KEYS = ("_target_", "_partial_", "_convert_")  # Hydra's `_convert_` has no effect here
# Options of timm and smp that read or download files.
READING = ("weights", "pretrained", "checkpoint", "cache_dir", "url", "file", "hf_hub", "hf-hub")


def packages(allow: str | Sequence[str] = ()) -> tuple[str, ...]:
    """Return the packages whose classes may be built.

    Args:
        allow: Allowed packages or modules, besides those of `ALLOWED`.
    """
    return (*ALLOWED, *([allow] if isinstance(allow, str) else allow or ()))


def targets(value: Any) -> Iterator[str]:
    """Find the targets of a configuration.

    Args:
        value: Configuration in plain containers.

    Yields:
        Full names.
    """
    if isinstance(value, dict):
        if "_target_" in value:
            yield str(value["_target_"])
        value = list(value.values())
    if isinstance(value, list | tuple):
        for entry in value:
            yield from targets(entry)


def find_definition(target: str) -> tuple[str, ast.ClassDef | ast.FunctionDef] | None:
    """Find a class or function of pyg_mllc in its source: an import may take seconds.

    Args:
        target: Full name, such as `pyg_mllc.nn.Segmenter`.

    Returns:
        The module that defines it and the definition there; None if pyg_mllc has no such name.
    """
    module, _, name = target.rpartition(".")
    root, *inside = module.split(".")
    if not all(part.isidentifier() for part in inside):
        return None
    path = Path(__file__).parents[1].joinpath(*inside)
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if root != "pyg_mllc" or not file.is_file():
        return None
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return find_definition(f"{node.module}.{name}")
    return None


def check(
    value: Any,
    allowed: Sequence[str],
    name: str = "",
    named: Sequence[str] = (),
    built: bool = True,
) -> None:
    """Check that a configuration holds plain values and allowed targets only.

    Args:
        value: Configuration in plain containers.
        allowed: Packages whose code it may name.
        name: Name of the configuration, for messages.
        named: Further full names that it may name, see `resolve`.
        built: Whether it will be built; otherwise, known targets are not imported.

    Raises:
        InputError: If an entry is not allowed, naming the entry.
    """
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str) or (key.startswith("_") and key not in KEYS):
                raise InputError(
                    f"{name or 'a configuration'} has the entry {key!r}, which means nothing here"
                )
            if "options" in name.split(".") and any(word in key for word in READING):
                raise InputError(f"{name} may not name files or addresses, got {key}={entry!r}")
            check(entry, allowed, f"{name}.{key}".lstrip("."), named, built)
        if "_target_" in value and (built or not _is_known(value["_target_"], allowed, named)):
            resolve(value["_target_"], allowed, name, named)
    elif isinstance(value, list | tuple):
        for entry in value:
            check(entry, allowed, name, named, built)
    elif not isinstance(value, str | int | float | bool | None):
        raise InputError(
            f"{name}={value!r} is neither number, word nor list, so it cannot be kept in a "
            "checkpoint; give a name in its place"
        )


def resolve(
    target: Any, allowed: Sequence[str], name: str = "", named: Sequence[str] = ()
) -> Callable[..., Any]:
    """Import a target if it is allowed.

    Args:
        target: Full name, such as `pyg_mllc.nn.Segmenter`.
        allowed: Packages whose code may be named.
        name: Name of the entry, for messages.
        named: Further full names that may be named. If empty, a target must be a module class;
            otherwise, any class or function that the allowed packages define.

    Returns:
        The class or function.

    Raises:
        InputError: If the target is not allowed or cannot be imported.
    """
    where = name or "a configuration"
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise InputError(f"{where} names {target!r}, which is no class: give one as in mine.Method")
    module, _, last = target.rpartition(".")
    if target in named or _is_inside(module, allowed):
        try:
            code = getattr(import_module(module), last)
        except (ImportError, AttributeError) as error:
            raise InputError(f"{where}: {_missing(target, error)}") from error
        if target in named or _defined(code, allowed, bool(named)):
            return code
    if not module:
        raise InputError(
            f"{where} names {target}, which is no class: give it with its module, as in mine.Method"
        )
    choices = f"none of {', '.join(named)}" if named else f"no module of {', '.join(allowed)}"
    raise InputError(
        f"{where} names {target}, which is {choices}, so it is not built; if it is code of yours, "
        f"pass allow=[{target.split('.')[0]}]"
    )


def _is_inside(module: str, allowed: Sequence[str]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in allowed)


def _is_known(target: Any, allowed: Sequence[str], named: Sequence[str]) -> bool:
    """Return whether a target is a class of pyg_mllc, or one that may be named."""
    if target in named:
        return True
    if not isinstance(target, str) or not _is_inside(target.rpartition(".")[0], allowed):
        return False
    _, code = find_definition(target) or ("", None)
    return isinstance(code, ast.ClassDef)


def _defined(code: Any, allowed: Sequence[str], any_code: bool) -> bool:
    """Return whether allowed packages define code, and whether its kind is allowed."""
    roots = {root.split(".")[0] for root in allowed}
    own = str(getattr(code, "__module__", "")).split(".")[0] in roots
    return own and callable(code) and (any_code or _is_module(code))


def _is_module(code: Any) -> bool:
    from torch import nn  # takes seconds to import

    return isinstance(code, type) and issubclass(code, nn.Module)


def _missing(target: str, error: Exception) -> str:
    """Describe a failed import, with advice for modules in the current folder."""
    told = f"{target} cannot be imported: {error}"
    lacking = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    root = target.split(".")[0]
    if lacking and lacking.split(".")[0] != root:
        told += f"; if it lies in the current folder, name it as well: allow=[{root},{lacking}]"
    return told
