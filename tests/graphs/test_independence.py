import ast
import sys
from pathlib import Path

import pytest

import graphs

FILES = sorted(Path(graphs.__file__).parent.rglob("*.py"))
ALLOWED = {"graphs", "torch", "torch_geometric", *sys.stdlib_module_names}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_graphs_imports_torch_and_pyg_only(file):
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("graphs" if node.level else str(node.module))
    assert {name.split(".")[0] for name in names} <= ALLOWED
