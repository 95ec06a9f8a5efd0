import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import graphs
import pyg_mllc
from pyg_mllc.errors import InputError


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
    finds = (
        "import pyg_mllc; from importlib.util import find_spec; print(find_spec('graphs').origin)"
    )
    (tmp_path / "script.py").write_text(finds)
    result = run(tmp_path, "script.py")
    assert Path(result.stdout.strip()).samefile(graphs.__file__), result.stderr


def test_the_package_is_imported_without_torch(tmp_path):
    result = run(tmp_path, "-c", "import pyg_mllc, sys; print('torch' in sys.modules)")
    assert result.stdout == "False\n", result.stderr


@pytest.mark.parametrize("name", pyg_mllc.__all__)
def test_public_names_are_imported_when_asked_for(name):
    value = getattr(pyg_mllc, name)
    assert callable(value) and value.__module__.startswith("pyg_mllc.") and value.__doc__
    assert name in dir(pyg_mllc)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = pyg_mllc.lode


def test_commands_are_functions(checkpoint_file, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for kind, values, shape in (("images", 256, (32, 48, 3)), ("masks", 3, (32, 48))):
        (tmp_path / kind).mkdir()
        for i in range(4):
            array = rng.integers(0, values, shape, dtype=np.uint8)
            Image.fromarray(array).save(tmp_path / kind / f"{i}.png")
    report = pyg_mllc.predict(checkpoint_file, tmp_path / "images", tmp_path / "labeled")
    assert (report.done, report.skipped, report.left_out) == (4, 0, [])
    assert (tmp_path / "labeled/labels/3.png").is_file()
    again = pyg_mllc.predict(checkpoint_file, tmp_path / "images", tmp_path / "labeled")
    assert (again.done, again.skipped) == (0, 4)
    with pytest.raises(InputError, match="results made with flip=false, and now it is true"):
        pyg_mllc.predict(checkpoint_file, tmp_path / "images", tmp_path / "labeled", flip=True)
    from pyg_mllc.data import folder

    splits = folder(tmp_path, classes=["sky", "road", "car"], val_share=0.5, size=(32, 48))
    evaluation = pyg_mllc.evaluate(checkpoint_file, splits)
    assert len(evaluation.images) == 2 and len(evaluation.stages) == 2
    explanation = pyg_mllc.explain(checkpoint_file, tmp_path / "images/0.png", 5, 7)
    assert explanation.pixel == (5, 7) and explanation.classes == ("sky", "road", "car")
    assert {path.name for path in tmp_path.iterdir()} == {"images", "masks", "labeled"}
    assert not capsys.readouterr().out
