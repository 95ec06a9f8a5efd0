import ast
import inspect

import pytest

from pyg_mllc import training
from pyg_mllc.errors import InputError
from pyg_mllc.nn import corrector
from pyg_mllc.utils.targets import check, find_definition


@pytest.mark.parametrize(
    "target, module, code",
    [
        ("pyg_mllc.nn.LabelCorrector", "pyg_mllc.nn.corrector", corrector.LabelCorrector),
        ("pyg_mllc.training.train", "pyg_mllc.training.trainer", training.train),
    ],
)
def test_definition_is_what_an_import_finds(target, module, code):
    found, definition = find_definition(target)
    assert found == module and definition.name == code.__name__
    assert ast.get_docstring(definition) == inspect.getdoc(code)


@pytest.mark.parametrize(
    "target", ["torch.nn.Linear", "pyg_mllc.nn.Typo", "pyg_mllc.typo.F", "x", "pyg_mllc./etc/x.Y"]
)
def test_unknown_names_have_no_definition(target):
    assert find_definition(target) is None


@pytest.mark.parametrize(
    "target, told",
    [
        ("pyg_mllc.nn.Typo", "network: pyg_mllc.nn.Typo cannot be imported"),
        ("pyg_mllc.nn.channel_dropout", "network names pyg_mllc.nn.channel_dropout"),  # no class
        ("pyg_mllc.cli.train.Stopped", "no module of pyg_mllc.nn"),
        (3, "network names 3"),
    ],
)
def test_what_is_not_built_is_checked_as_well(target, told):
    check({"_target_": "pyg_mllc.nn.Segmenter"}, ["pyg_mllc.nn"], "network", built=False)
    with pytest.raises(InputError, match=told):
        check({"_target_": target}, ["pyg_mllc.nn"], "network", built=False)
