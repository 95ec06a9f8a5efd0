"""The command line, run as a user does."""

import logging
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pyg_mllc.cli import main


@pytest.fixture
def mllc(monkeypatch, tmp_path, capsys):
    """Run `mllc` in an empty folder; give its exit code, output and error output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mllc", *map(str, arguments)])
        code, handlers = 0, logging.root.handlers[:]
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        logging.root.handlers[:] = handlers  # Hydra's write to an output that ends with the test
        return code, *capsys.readouterr()

    return run


DRAWING = {  # functions that return a figure, by the module that calls them
    "examples": ["example_figure"],
    "report.charts": ["confusion_figure", "reliability_figure"],
    "samples": ["sample_sheet"],
    "report.html": ["confusion_figure", "curves_figure", "reliability_figure"],
}


def blank(*arguments, **options):
    return Figure()


@pytest.fixture
def blank_figures(monkeypatch):
    """Leave figures empty, of one pixel: a tiny training spends most of its time on drawing."""

    def savefig(figure, file, *, format):
        Image.new("RGB", (1, 1)).save(file, format)

    monkeypatch.setattr(Figure, "savefig", savefig)
    for module, names in DRAWING.items():
        for name in names:
            monkeypatch.setattr(f"pyg_mllc.visualization.{module}.{name}", blank)


@pytest.fixture
def photos(tmp_path):
    """A folder with images of two sizes, one in a folder of its own, names with all sorts in."""
    rng = np.random.default_rng(0)
    for name, size in {"a": (40, 60), "é (1), it's=b": (40, 60), "in/c.d": (30, 30)}.items():
        file = tmp_path / "my photos" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file)
    return tmp_path / "my photos"


@pytest.fixture
def content():
    """Return all files in a folder, and what is in them."""
    return lambda folder: {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
