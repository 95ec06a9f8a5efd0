from importlib.resources import files

import pytest
from omegaconf import OmegaConf

from pyg_mllc.cli import COMMANDS, USAGE


def test_the_overview_names_every_command(mllc):
    for arguments in ([], ["--help"], ["-h"]):
        assert mllc(*arguments) == (0, USAGE, "")
    assert all(f"\n  {name} " in USAGE and f"\n  mllc {name} " in USAGE for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"train"}))
def test_help_has_an_example_and_says_all_options(mllc, name):
    code, out, _ = mllc(name, "--help")
    assert code == 0 and f"\nmllc {name} " in out
    cfg = OmegaConf.load(files("pyg_mllc.configs") / f"{name}.yaml")
    said = out.split("needed:")[1]
    for option in set(cfg) - {"defaults", "hydra"}:
        assert f"\n  {option}=" in said, option
        value = OmegaConf.to_container(cfg)[option]
        if value not in ("???", None) and not isinstance(value, bool | str | list):
            assert f"\n  {option}={value} " in said, option
