"""The tables of the texts say what the CSV files say."""

import re
from pathlib import Path

import pytest

from experiments import table
from experiments.methods import evaluate

HERE = Path(table.__file__).parent


def tables(folder):
    """The tables of a folder's texts: the first line, and those with the figures."""
    text = "\n".join(file.read_text() for file in sorted(folder.glob("*.md")))
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *lines = block.splitlines()
        yield head, lines


def cells(line):
    return tuple(cell.strip() for cell in line.strip("|").split("|"))


@pytest.mark.parametrize("name", ["ablation", "evidence", "graphs", "layers", "methods"])
def test_a_row_is_the_mean_of_its_runs_and_no_row_is_kept_back(name):
    folder = HERE / name
    shown = {
        cells(line) for head, lines in tables(folder) if cells(head) == table.HEAD for line in lines
    }
    runs = table.read(folder / f"{name}.csv", [])
    expected = {table.line(*item) for item in runs.items()}
    assert shown == expected, f"python -m experiments.table {name} prints what {folder} lacks"


@pytest.mark.parametrize("name, lines_at_least", [("evidence", 8), ("methods", 50)])
def test_gains_are_those_of_the_runs(name, lines_at_least):
    folder, seen = HERE / name, 0
    measured = [table.figures(table.read(folder / f"{name}.csv", []))]
    if name == "methods":
        measured.append(evaluate.figures([]))
    for head, lines in tables(folder):
        if base := re.search(r"gain over (\w+)", head):
            kept = [set(table.gains(found, base[1])) for found in measured if base[1] in found]
            assert any(set(lines) <= lines_of for lines_of in kept), head
            seen += len(lines)
    assert seen > lines_at_least
