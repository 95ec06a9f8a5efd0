import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from pyg_mllc.cli import main
from pyg_mllc.data import textures

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_python_example_runs(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_corrector_example_prints_what_the_readme_shows(capsys):
    exec(compile(BLOCKS[0], "README.md", "exec"), {})
    printed = capsys.readouterr().out.strip()
    assert f"```\n{printed}\n```" in README.read_text()


SMALL = {
    # One round is traced sooner than two, and a small encoder sooner than one with weights.
    "train": [
        "trainer.max_steps=2", "data.size=[64,96]", "trainer.enable_progress_bar=false",
        "corrector.rounds=1", "model.encoder=test_resnet", "model.weights=null",
        "model.feature_dim=8", "model.width=16",
    ],
    "correct": ["pixels=600"],
}  # fmt: skip


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Images, masks and unlabeled images in plain folders."""
    monkeypatch.chdir(tmp_path)
    data = textures(labeled=5, unlabeled=3, val=1, size=(64, 96))
    for part, name in ((data.labeled, "images"), (data.unlabeled, "unlabeled")):
        for i in range(len(part)):
            sample = part[i]
            files = {name: sample["image"].permute(1, 2, 0)}
            if name == "images":
                files["masks"] = sample["label"].byte()
            for folder, array in files.items():
                (tmp_path / "mine" / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.numpy()).save(tmp_path / "mine" / folder / f"{i}.png")
    return tmp_path


def test_every_command_of_the_way_from_a_folder_to_a_network_runs(mine, monkeypatch, capsys):
    section = README.read_text().split("## Your own images")[1].split("\n## ")[0]
    commands = re.findall(r"^(mllc .*)$", section.split("```bash\n")[1], re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        words = shlex.split(command, comments=True)
        monkeypatch.setattr(sys, "argv", [*words, *SMALL.get(words[1], [])])
        main()  # any bad end is a SystemExit
    left = {path.name for made in mine.glob("[!m]*") for path in (made, *made.rglob("*"))}
    assert {"report.html", "best.ckpt", "evaluation.html", "issues.csv", "network.onnx"} <= left
    Image.open(mine / "mine/images/0.png").save("photo.jpg")
    for block in re.findall(r"```py\n(.*?)```", section, re.DOTALL):
        names: dict = {}
        exec(compile(block, "README.md", "exec"), names)
    classes = json.loads(names["facts"]["classes"])
    assert names["label"].shape == (64, 96) and names["label"].max() < len(classes)
    assert "explain_0_40_30.png" in left and len(list((mine / "labeled/labels").iterdir())) == 3
