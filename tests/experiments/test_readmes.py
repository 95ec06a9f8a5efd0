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
        if told := re.search(r"(gain|mean lead) over (?:\| )?(.+?) \|", head):
            groups = {group(line) for line in lines}
            bases = cells(head)[1:] if told[1] == "mean lead" else [told[2]]
            tables_of = [found for found in measured if found.keys() >= set(bases)]
            printed = [list(table.over(found, bases)) for found in tables_of]
            whole = [(h, [t for t in more if group(t) in groups]) for h, _, *more in printed]
            assert (head, lines) in whole
            seen += len(lines)
    assert seen > lines_at_least


def group(line):
    """The set and the share of a row, such as voc_54."""
    return "_".join(cells(line)[0].split("_")[:2])


def test_the_summary_is_of_the_same_runs():
    """At the images' own size, or, with a †, at that of training."""
    own_size = evaluate.figures([])
    trained = table.figures(table.read(HERE / "methods/methods.csv", []))
    [(head, lines)] = [t for t in tables(HERE / "methods") if "CamVid 1/16" in t[0]]
    groups = ("voc_54", "voc_27", "camvid_23", "camvid_46", "camvid_92")
    assert cells(head)[2:] == ("VOC 1/8", "VOC 1/16", "CamVid 1/16", "CamVid 1/8", "CamVid 1/4")
    seen, corrected = 0, ""
    for _, row, *shown in map(cells, lines):
        if not row:
            corrected = ", correct=true"
            continue
        for name, cell in zip(groups, shown, strict=True):
            key = f"{name}_{row.strip('`')}{corrected}"
            if row == "`all`":
                key = f"{name.split('_')[0]}_all_supervised"
            if cell == "-":
                assert len(own_size.get(key, ())) < 3 and len(trained.get(key, ())) < 3
                continue
            runs = trained if "†" in cell else own_size
            base, mine = runs[f"{name}_supervised"], runs[key]
            gains = [mine[seed] - base[seed] for seed in mine if seed in base]
            assert len(gains) == 3
            told = re.split(" †|,", cell.strip("*"))[0]
            assert told == table.spread(gains, "+"), (row, name)
            seen += 1
    assert seen > 50
