from collections.abc import Sequence
from inspect import signature
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import pyg_mllc
from pyg_mllc.cli.composition import config_dir
from pyg_mllc.cli.options import plain_options
from pyg_mllc.errors import InputError

FUNCTIONS = {
    "predict": pyg_mllc.predict,
    "evaluate": pyg_mllc.evaluate,
    "correct": pyg_mllc.correct_masks,
    "explain": pyg_mllc.explain,
    "export": pyg_mllc.export,
}
# Only the command shows bars by default, and writes where nobody says so; both are ways to name a
# pixel, and only Python takes made images and functions.
DIFFERENT = {"progress", "output", "seed", "pixel", "x", "y", "data", "command", "tell"}


def function(
    folder: str | Path,
    count: int = 1,
    share: float = 0.5,
    names: Sequence[str] = (),
    size: Sequence[int] | None = None,
    classes: int | str | Sequence[str] | None = None,
) -> None:
    """Take options of all types."""


def plain(**options):
    return plain_options(OmegaConf.create({"folder": "photos", **options}), function)


@pytest.mark.parametrize("command", FUNCTIONS)
def test_commands_have_the_defaults_of_their_functions(command):
    config = OmegaConf.to_container(OmegaConf.load(config_dir() / f"{command}.yaml"))
    parameters = signature(FUNCTIONS[command]).parameters
    names = (config.keys() | parameters.keys()) - DIFFERENT - {"defaults", "hydra"}
    for name in names:
        default = parameters[name].default
        wanted = "???" if default is parameters[name].empty else default
        assert config[name] == (list(wanted) if isinstance(wanted, tuple) else wanted), name


def test_options_of_other_names_are_left_out():
    assert plain(count=3, progress=True) == {"folder": "photos", "count": 3}


def test_a_value_stands_for_a_list_and_null_for_an_empty_one():
    assert plain(names="road", size=3) == {"folder": "photos", "names": ["road"], "size": [3]}
    assert plain(names=None, size=None) == {"folder": "photos", "names": [], "size": None}
    assert plain(names=["road", "car"])["names"] == ["road", "car"]


def test_a_folder_may_be_called_like_a_number():
    assert plain(folder=2024)["folder"] == "2024"


@pytest.mark.parametrize("classes", [None, 3, "classes.csv", ["road", "car"]])
def test_of_several_types_each_is_taken_as_it_is(classes):
    assert plain(classes=classes)["classes"] == classes


def test_whole_numbers_are_numbers():
    assert plain(share=1)["share"] == 1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"count": "many"}, "count=many is not a whole number"),
        ({"count": True}, "count=True is not a whole number"),
        ({"count": None}, "count=null is not a whole number"),
        ({"share": "half"}, "share=half is not a number"),
        ({"folder": 0.5}, "folder=0.5 is not a word"),
        ({"names": ["road", 3]}, "names=3 is not a word"),
        ({"size": [32, 4.5]}, "size=4.5 is not a whole number"),
    ],
)
def test_another_type_gets_one_sentence(options, message):
    with pytest.raises(InputError) as error:
        plain(**options)
    assert str(error.value) == message
