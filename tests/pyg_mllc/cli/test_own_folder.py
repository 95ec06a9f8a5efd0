"""What lies in the current folder, as a process of its own finds it."""

import os
import subprocess
import sys

import pytest

# Names that Python, Hydra, PyTorch and what is built on them look for, installed or not.
PLANTED = (
    "hydra_plugins", "pandas", "numpy", "sitecustomize", "usercustomize", "tensorboard", "yaml",
    "graphs", "torch_scatter", "torch_sparse", "pyg_lib", "mlflow", "wandb", "psutil", "jinja2",
    "numexpr", "bottleneck", "colorama", "ipywidgets", "comet_ml", "neptune", "tensorboardX",
    "onnx", "scipy", "matplotlib", "logging", "typing", "pyg_mllc_plugins",
)  # fmt: skip
TINY = [
    "model.encoder=test_resnet", "model.weights=null", "model.feature_dim=8", "model.width=16",
    "data.size=[32,48]", "trainer.max_steps=1", "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
    "data.labeled=2", "data.unlabeled=2", "data.val=1", "method=supervised", "corrector.rounds=0",
]  # fmt: skip


@pytest.fixture
def planted(tmp_path):
    """A folder of files that would tell if they were imported."""
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(f"open('ran_{name}', 'w').close()\n")
    return tmp_path


# As the program `mllc` does, which does not look into the current folder by itself.
SEVERAL = """
import sys
from pyg_mllc.cli import main
for arguments in COMMANDS:
    sys.argv = ["mllc", *arguments]
    try:
        main()
    except SystemExit as stop:
        print(arguments[0], "ended with", stop.code)
"""


def test_no_file_of_the_current_folder_is_imported(planted, tmp_path_factory):
    commands = [
        ["train", "--help"],
        ["data", "check", "data.val=1", "data.size=[32,48]"],
        ["train", *TINY, "output=out"],
        ["predict", "checkpoint=pandas.py", "input=.", "output=labeled"],
        ["predict", "checkpoint=pandas.py", "input=.", "output=labeled", "allow=[mine]"],
    ]
    program = [sys.executable, "-P", "-c", SEVERAL.replace("COMMANDS", repr(commands))]
    coarse = tmp_path_factory.mktemp("coarse") / "matplotlibrc"  # drawn sooner
    coarse.write_text("savefig.dpi: 30")
    environment = os.environ | {"MATPLOTLIBRC": str(coarse)}
    ended = subprocess.run(program, cwd=planted, capture_output=True, text=True, env=environment)
    assert (planted / "out/report.html").is_file(), ended.stderr
    assert ended.stdout.count("predict ended with 2") == 2, ended.stdout
    assert not list(planted.glob("ran_*"))


def test_nor_where_python_itself_would_look_there(planted):
    for name in ("logging", "typing"):  # Python takes them before any code of this package runs
        (planted / f"{name}.py").unlink()
    program = [sys.executable, "-m", "pyg_mllc.cli", "data", "info", "--help"]
    ended = subprocess.run(program, cwd=planted, capture_output=True, text=True)
    assert ended.returncode == 0 and "mllc data info" in ended.stdout, ended.stderr
    assert not list(planted.glob("ran_*"))
