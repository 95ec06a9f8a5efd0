"""Provenance of a result: the code, the libraries, the machine and the day that made it."""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
CODE = ("pyg_mllc", "graphs", "configs", ":(glob)experiments/**/*.py")  # what results come from
LIBRARIES = ("pyg_mllc", "torch", "torch_geometric")

Provenance = dict[str, list[str]]
"""For each of `commit`, `versions`, `machine` and `date`, one value for each part of a run."""


def provenance(earlier: Mapping[str, list[str]] | None = None) -> Provenance:
    """Return the provenance of what this process computes.

    Args:
        earlier: that of the parts of a resumed run so far; values that it has are not repeated.
    """
    threads = torch.get_num_threads()
    now = {
        "commit": commit(),
        "versions": ", ".join(f"{library} {version(library)}" for library in LIBRARIES),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{threads} thread{'s' * (threads > 1)} a run",
        "date": str(date.today()),
    }
    known = earlier or {}
    return {name: list(dict.fromkeys([*known.get(name, []), now[name]])) for name in now}


def commit() -> str:
    """Return the commit of the checkout that this code lies in, and `+` if it was changed since.

    An installed package has none: the result is empty then.
    """
    if not _git("ls-files", "--", __file__):
        return ""
    changed = "+" if _git("status", "--porcelain", "--", *CODE) else ""
    return _git("rev-parse", "--short", "HEAD") + changed


def _git(*arguments: str) -> str:
    """Return what git prints, nothing if it fails or is not there."""
    try:
        called = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return called.stdout.strip()
