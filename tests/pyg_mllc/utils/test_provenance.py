import re
import subprocess
from pathlib import Path

import pytest

from pyg_mllc.utils import provenance as module
from pyg_mllc.utils.provenance import commit, provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout in which the module lies."""
    source = tmp_path / "pyg_mllc/utils/provenance.py"
    source.parent.mkdir(parents=True)
    source.write_text("first\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "__file__", str(source))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first")
    return tmp_path


def git(folder, *arguments):
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_of_a_checkout_and_whether_its_code_was_changed(checkout):
    head = git(checkout, "rev-parse", "--short", "HEAD")
    (checkout / "notes.md").write_text("no code")
    assert commit() == head
    Path(module.__file__).write_text("second\n")
    assert commit() == f"{head}+"


def test_a_package_installed_inside_another_checkout_has_no_commit(checkout):
    git(checkout, "rm", "-q", "--cached", "pyg_mllc/utils/provenance.py")
    assert commit() == ""


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit() == ""


def test_parts_of_a_resumed_run_add_what_is_new():
    now = provenance()
    assert set(now) == {"commit", "versions", "machine", "date"}
    assert re.match(r"pyg_mllc \S+, torch \S+, torch_geometric \S+$", now["versions"][0])
    earlier = now | {"commit": ["begun"]}
    assert provenance(earlier) == now | {"commit": ["begun", *now["commit"]]}
