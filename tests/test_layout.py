"""The plan of the house: which room may import which, and where tests lie."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (  # a room imports only from floors below its own
    {"graphs", "errors", "typing"},
    {"utils", "metrics", "transforms"},
    {"nn", "data", "losses"},
    {"methods", "evaluation"},
    {"inference"},
    {"training", "exporters", "visualization"},
    {"cli"},
)
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for package in ("graphs", "pyg_mllc")
    for file in (ROOT / package).rglob("*.py")
}
# Tests of behavior that no single module has.
ACROSS = {
    "tests/graphs/test_independence.py",
    "tests/graphs/test_whole_numbers.py",
    "tests/pyg_mllc/cli/test_export_command.py",
    "tests/pyg_mllc/cli/test_own_folder.py",
    "tests/pyg_mllc/data/test_bad_files.py",
    "tests/pyg_mllc/methods/test_methods.py",
    "tests/pyg_mllc/nn/test_stability.py",
    "tests/pyg_mllc/training/test_processes.py",
    "tests/pyg_mllc/visualization/report/test_browser.py",
}


def room(module):
    """The room of a module: `graphs`, or what comes after `pyg_mllc`."""
    package, *inside = module.split(".")
    return "graphs" if package == "graphs" else inside[0] if inside else ""


def imported(file):
    """Every module of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name for name in names if name in MODULES}
    return found


@cache
def imports():
    """What every module imports of ours."""
    return {module: imported(file) for module, file in MODULES.items()}


def test_every_room_has_a_floor():
    assert {room(module) for module in MODULES} - {""} == set().union(*FLOORS)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down(module):
    if module == "pyg_mllc":  # its public functions, imported when asked for
        return
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    above = {
        other
        for other in imports()[module]
        if room(other) not in ("", room(module)) and floor[room(other)] >= floor[room(module)]
    }
    assert not above


def test_no_circle_of_modules():
    inside = {
        module: {other for other in others if not MODULES[other].name == "__init__.py"}
        for module, others in imports().items()
        if MODULES[module].name != "__init__.py"
    }
    assert list(TopologicalSorter(inside).static_order())  # raises CycleError, which names it


def test_nothing_lies_loose():
    loose = {file.stem for file in (ROOT / "pyg_mllc").glob("*.py")}
    assert loose == {"__init__", "errors", "losses", "transforms", "typing"}


def test_tests_mirror_the_tree():
    for file in (ROOT / "tests").rglob("test_*.py"):
        path = file.relative_to(ROOT)
        if path.parent == Path("tests") or path.parts[1] in ("configs", "experiments"):
            continue
        module = Path(*path.parts[1:-1], path.name.removeprefix("test_"))
        assert (ROOT / module).is_file() or path.as_posix() in ACROSS, path
