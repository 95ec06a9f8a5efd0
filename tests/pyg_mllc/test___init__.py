import subprocess
import sys

import pytest

import pyg_mllc


def run(folder, *arguments):
    """Run Python with `folder` first on its path; our packages come after it."""
    command = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["graphs.py", "graphs/__init__.py"])
def test_a_module_that_hides_graphs_is_named(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    (tmp_path / "script.py").write_text("import pyg_mllc.nn")
    result = run(tmp_path, "script.py")
    assert result.returncode == 1
    *_, error = result.stderr.strip().splitlines()
    assert error.startswith(f"ImportError: {tmp_path / name} hides the package graphs")
    assert error.endswith("; rename it, or start Python in another folder")


def test_a_script_of_that_name_is_named_too(tmp_path):
    (tmp_path / "graphs.py").write_text("import pyg_mllc.nn")
    result = run(tmp_path, "graphs.py")
    assert f"ImportError: {tmp_path / 'graphs.py'} hides the package graphs" in result.stderr


def test_a_folder_of_files_hides_nothing(tmp_path):
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "a.txt").touch()
    (tmp_path / "script.py").write_text("import pyg_mllc, graphs; print(graphs.AnchorMemory)")
    assert "AnchorMemory" in run(tmp_path, "script.py").stdout


def test_the_package_is_imported_without_torch(tmp_path):
    result = run(tmp_path, "-c", "import pyg_mllc, sys; print('torch' in sys.modules)")
    assert result.stdout == "False\n", result.stderr


def test_public_names_are_imported_when_asked_for():
    assert pyg_mllc.load.__module__.startswith("pyg_mllc.")
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = pyg_mllc.lode
