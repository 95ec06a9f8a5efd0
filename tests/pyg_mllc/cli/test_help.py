import re
import subprocess
import sys
from itertools import pairwise

import pytest
from hydra import compose
from omegaconf import OmegaConf

from pyg_mllc.cli import COMMANDS, USAGE, main
from pyg_mllc.cli.composition import composing, config_dir
from pyg_mllc.cli.help import options

GROUPS = {
    "optimizer": ("adamw", "sgd"),
    "scheduler": ("poly", "cosine", "constant"),
    "data": ("camvid", "cityscapes", "folder", "textures", "voc", "voc_animals", "voc_aug"),
    "method": (
        "fixmatch", "mllc_anchors", "mllc_evidence", "prevmatch", "supervised", "unimatch",
        "unimatch_v2",
    ),
}  # fmt: skip


def test_options_speak_through_the_docstrings():
    values = {"_target_": "pyg_mllc.nn.LabelCorrector", "rounds": 3, "conv": None, "no": {}}
    found = {o.name: o for o in options(values, {}, "corrector.")}
    assert found["corrector.rounds"].value == "3"
    assert found["corrector.rounds"].meaning.startswith("K; with 0")
    assert found["corrector.conv"].value == "null"
    assert "corrector._target_" not in found


def test_names_that_no_docstring_explains_take_the_comment():
    [seed] = options({"seed": 0}, {"seed": "of all"})
    assert seed == ("seed", "0", "of all")


@pytest.mark.parametrize(
    "group, choice", [(g, c) for g, choices in GROUPS.items() for c in choices]
)
def test_every_option_of_a_part_is_explained(group, choice):
    with composing():
        config = compose("train", overrides=[f"{group}={choice}"])
    parts = OmegaConf.to_container(config, resolve=False)
    for part in (group, "model", "corrector", "trainer", "optimizer", "scheduler"):
        for option in options(parts[part], {}, f"{part}."):
            assert option.meaning, option.name


def test_help_lists_the_options_of_what_is_chosen(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mllc", "train", "method=unimatch", "--help"])
    main()
    out = capsys.readouterr().out
    assert out.startswith("mllc train [option=value ...]")
    assert "method.channel_dropout=0.5" in out and "share of the channels" in out
    assert "method.lambda_clg" not in out and "fixmatch, instant, mllc, mllc_anchors" in out


@pytest.mark.parametrize("given", [["--config-dir={}"], ["--config-dir", "{}"]])
def test_help_knows_rows_of_ones_own(given, tmp_path, monkeypatch, capsys):
    row = tmp_path / "it's mine" / "experiment" / "mine" / "row.yaml"
    row.parent.mkdir(parents=True)
    row.write_text("# @package _global_\nseed: 7\n")
    folder = [word.format(tmp_path / "it's mine") for word in given]
    monkeypatch.setattr(sys, "argv", ["mllc", "train", *folder, "experiment=mine/row", "--help"])
    main()
    assert "seed=7" in capsys.readouterr().out
    row.write_text("seed: 7\n")  # without its first line nothing would read it
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "its first line must be '# @package _global_'" in capsys.readouterr().err
    row.write_text("# @package _global_\nseed: 7\n")
    monkeypatch.setattr(sys, "argv", ["mllc", "train", "--config-dir=nowhere", "--help"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == "mllc: --config-dir=nowhere is no folder\n"
    monkeypatch.setattr(sys, "argv", ["mllc", "train", "--help", "--config-dir"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == "mllc: argument --config-dir: expected one argument\n"


def test_help_for_what_there_is_not_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mllc", "train", "method=none", "--help"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "there is no method=none; there are fixmatch, instant, mllc, " in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["mllc", "train", "method._target_=mine.Typo", "--help"])
    with pytest.raises(SystemExit, match="2"):
        main()
    out, told = capsys.readouterr()
    assert not out and "method: mine.Typo cannot be imported" in told and told.count("\n") == 1


def test_the_overview_names_every_command(mllc):
    for arguments in ([], ["--help"], ["-h"]):
        assert mllc(*arguments) == (0, USAGE, "")
    assert all(f"\n  {name} " in USAGE and f"\n  mllc {name} " in USAGE for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"data"}))
def test_help_has_an_example_and_explains_each_option(mllc, name):
    code, out, _ = mllc(name, "--help")
    assert code == 0 and f"\n  mllc {name} " in out
    told = out.split("\noptions\n")[1].splitlines()
    names = [line.split("=")[0].strip() for line in told if re.match(r"  \w", line)]
    assert {n for n in OmegaConf.load(config_dir() / f"{name}.yaml")} - {
        "defaults", "hydra",
    } <= {n.split(".")[0] for n in names}  # fmt: skip
    for option, after in pairwise(told):
        assert not re.match(r"  \w", option) or after.startswith("      "), option


ONE_BY_ONE = """
import sys
from pyg_mllc.cli import main
for command in COMMANDS:
    sys.argv = ["mllc", *command.split()]
    main()
    assert not HEAVY & set(sys.modules), command
"""


@pytest.mark.parametrize(
    "commands, heavy",
    [
        (["predict --help", "correct --help"], {"torch"}),
        (
            ["train --help", "data info", "data check data=textures"],
            {"torch_geometric", "torch._dynamo", "lightning", "timm"},
        ),
    ],
)
def test_only_what_a_command_needs_is_imported(commands, heavy, tmp_path):
    code = ONE_BY_ONE.replace("COMMANDS", repr(commands)).replace("HEAVY", repr(heavy))
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert ended.returncode == 0, ended.stderr
