"""Docstrings in plain words: a verb of the field or a noun phrase comes first."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# They begin fragments and questions, or say less than return, yield, compute, raise, check.
VAGUE = frozenset(
    "are by each give gives how likewise nothing of refuse refuses tell tells that those what "
    "where whether which who why".split()
)


def public_docstrings(node, name):
    """Yield name and docstring of a module or class, and of all that is public in it."""
    if docstring := ast.get_docstring(node):
        yield name, docstring
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            if isinstance(child, ast.ClassDef):
                yield from public_docstrings(child, f"{name}:{child.name}")
            elif docstring := ast.get_docstring(child):
                yield f"{name}:{child.name}", docstring


@pytest.mark.parametrize("package", ["graphs", "pyg_mllc", "experiments"])
def test_docstrings_begin_plainly(package):
    vague = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for name, docstring in public_docstrings(tree, file.relative_to(ROOT).as_posix()):
            if docstring.split()[0].strip(":,;.").lower() in VAGUE:
                vague[name] = docstring.splitlines()[0]
    assert not vague
