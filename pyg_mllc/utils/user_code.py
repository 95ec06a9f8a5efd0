"""Import of the user's own modules in the current folder, but only of those that are named."""

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class NamedModules(MetaPathFinder):
    """Finder of some top-level modules in a folder. Python asks it after all others.

    A folder on `sys.path` would offer every file in it to every import, so that a library that
    looks for an optional `pandas` would run somebody's `pandas.py`.

    Args:
        folder: where the modules lie.
        names: of the modules or packages.
    """

    def __init__(self, folder: str, names: Iterable[str]) -> None:
        self.folder, self.names = folder, frozenset(names)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, if it is one of those named."""
        if path is not None or name not in self.names:
            return None
        return PathFinder.find_spec(name, [self.folder])

    def __reduce__(self) -> tuple[Any, ...]:
        return find_named, (self.folder, tuple(self.names))


def find_named(folder: str, names: Iterable[str]) -> NamedModules:
    """Let Python find named modules in a folder, and none that were named before.

    Args:
        folder: where the modules lie.
        names: of modules or packages, or of something in them.

    Returns:
        The finder, whose pickle installs it in the process that loads it.
    """
    found = NamedModules(folder, (name.split(".")[0] for name in names))
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, NamedModules)] + [found]
    return found


def finder() -> NamedModules | None:
    """Return the finder in use, if it finds any module."""
    return next((f for f in sys.meta_path if isinstance(f, NamedModules) and f.names), None)
