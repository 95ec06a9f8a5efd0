import sys

import pytest

from pyg_mllc.cli import main


@pytest.fixture
def mllc(monkeypatch, tmp_path, capsys):
    """Run `mllc` in an empty folder; give its exit code, output and error output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mllc", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run
