"""Every command and every Python example of README.md, CONTRIBUTING.md and docs/ runs."""

import json
import logging
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from pyg_mllc.cli import main
from pyg_mllc.data import textures

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SMALL = {
    # One round is traced sooner than two, and a small encoder sooner than one with weights.
    "train": [
        "trainer.max_steps=2", "data.size=[64,96]", "trainer.enable_progress_bar=false",
        "corrector.rounds=1", "model.encoder=test_resnet", "model.weights=null",
        "model.feature_dim=8", "model.width=16",
    ],
    "correct": ["pixels=600"],
}  # fmt: skip
TRAIN = "mllc train experiment=folder data.root=mine output=outputs/mine"
# Of these, only the options are composed: what needs other data or several processes, sweeps, and
# trainings whose results no later command uses.
COMPOSED = re.compile(
    r"path/to/|--multirun|trainer\.devices=|^mllc train (?!.*(output=|resume=|--help))"
)
LEFT = {  # files that the commands of a page leave
    "README.md": {"report.html", "best.ckpt", "evaluation.html", "issues.csv"},
    "export.md": {"network.onnx"},
    "explain.md": {"explain_0_40_30.png"},
    "own_images.md": {"report.html", "best.ckpt", "evaluation.html"},
    "own_method.md": {"rampedfixmatch"},
}


def run(words, monkeypatch):
    """Run `mllc`; any bad end is a SystemExit."""
    handlers = logging.root.handlers[:]
    monkeypatch.setattr(sys, "argv", words)
    try:
        main()
    finally:
        logging.root.handlers[:] = handlers  # Hydra's write to an output that ends with the test


def make_images(root):
    """Write images, masks and unlabeled images into folders of `root/mine`, and a photograph."""
    data = textures(labeled=5, unlabeled=3, val=1, size=(64, 96))
    for part, name in ((data.labeled, "images"), (data.unlabeled, "unlabeled")):
        for i in range(len(part)):
            sample = part[i]
            files = {name: sample["image"].permute(1, 2, 0)}
            if name == "images":
                files["masks"] = sample["label"].byte()
            for folder, array in files.items():
                (root / "mine" / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.numpy()).save(root / "mine" / folder / f"{i}.png")
    Image.open(root / "mine/images/0.png").save(root / "photo.jpg")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with images and a trained network, as most pages expect it."""
    root = tmp_path_factory.mktemp("trained")
    make_images(root)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)
        monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 30)
        run([*shlex.split(TRAIN), *SMALL["train"]], monkeypatch)
    return root


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """Prepare the folder that commands of a page run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 30)
    monkeypatch.syspath_prepend(tmp_path)
    text = request.getfixturevalue("page").read_text(encoding="utf-8")
    if "outputs/mine" in text:
        shutil.copytree(request.getfixturevalue("trained"), tmp_path, dirs_exist_ok=True)
    elif "```bash\nmllc" in text:
        make_images(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_runs_from_top_to_bottom(page, folder, monkeypatch, capsys):
    printed, names = None, {}
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        file = re.search(r"^# (\S+\.(?:py|yaml))$", text, re.MULTILINE)
        if file:
            (folder / file[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / file[1]).write_text(text, encoding="utf-8")
        elif language == "python":
            names = {}
            exec(compile(text, page.name, "exec"), names)
            printed = capsys.readouterr().out
            assert printed
        elif language == "bash":
            for command in text.replace("\\\n", " ").splitlines():
                check_command(command, monkeypatch)
            capsys.readouterr()
        elif printed is not None:  # what the example above prints
            assert text == printed
            printed = None
    left = {path.name for made in folder.glob("[!m]*") for path in (made, *made.rglob("*"))}
    assert LEFT.get(page.name, set()) <= left
    if page.name == "export.md":
        classes = json.loads(names["metadata"]["classes"])
        assert names["label"].shape == (64, 96) and names["label"].max() < len(classes)
    if page.name == "predict.md":
        assert len(list((folder / "labeled/labels").iterdir())) == 3


def check_command(command, monkeypatch):
    """Run a command of `mllc` with few steps, or compose its options; look others up."""
    words = shlex.split(command, comments=True)
    if not words or command == TRAIN:  # which has made the folder that the page runs in
        return
    if words[0] in ("torchrun", "srun"):
        words = ["mllc", *words[words.index("train") :]]
    if words[0] == "mllc" and COMPOSED.search(command):
        first = [re.sub(r"^([^=\[{]+=[^,\[{]+),.*", r"\1", word) for word in words]
        dropped = ("--multirun", "hydra/launcher=")
        run([w for w in first if not w.startswith(dropped)] + ["--cfg", "job"], monkeypatch)
    elif words[0] == "mllc":
        kept = "resume=" in command or "--help" in words
        small = [] if kept else SMALL.get(words[1], [])
        small = [*small, "data.val=4"] if "experiment=demo" in words else small
        replaced = tuple(option.partition("=")[0] + "=" for option in small)
        run([w for w in words if not w.startswith(replaced)] + small, monkeypatch)
    else:
        check_other(words)


def check_other(words):
    """Check that what a command of another program names is there."""
    match words:
        case ["make", *targets]:
            made = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(targets) <= set(made)
        case ["pip", "install", *packages]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            wanted = {
                extra for name in packages for extra in re.findall(r"\w+", name.partition("[")[2])
            }
            assert wanted <= set(project["optional-dependencies"])
        case ["python" | ".venv/bin/python", "-m", module, *_] if module != "pytest":
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()
        case _:
            paths = [word for word in words[1:] if "/" in word]
            assert paths and all((ROOT / path).exists() for path in paths), words
