"""Import of named modules of the user in the current folder."""

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class NamedModules(MetaPathFinder):
    """Finder of named top-level modules in a folder, which Python asks last.

    A folder on `sys.path` would offer all of its files to every import: a library that looks for an
    optional `pandas` would run a file `pandas.py` there.

    Args:
        folder: Folder of the modules.
        names: Names of modules or packages.
    """

    def __init__(self, folder: str, names: Iterable[str]) -> None:
        self.folder, self.names = folder, frozenset(names)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module if it is a named one."""
        if path is not None or name not in self.names:
            return None
        return PathFinder.find_spec(name, [self.folder])

    def __reduce__(self) -> tuple[Any, ...]:
        return find_named, (self.folder, tuple(self.names))


def find_named(folder: str, names: Iterable[str]) -> NamedModules:
    """Install a finder of named modules in a folder; it replaces an earlier one.

    Args:
        folder: Folder of the modules.
        names: Names of modules or packages, or of objects in them.

    Returns:
        The finder, whose pickle installs it in the process that loads it.
    """
    finder = NamedModules(folder, (name.split(".")[0] for name in names))
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, NamedModules)] + [finder]
    return finder


def finder() -> NamedModules | None:
    """Return the installed finder if it finds any module."""
    return next((f for f in sys.meta_path if isinstance(f, NamedModules) and f.names), None)
