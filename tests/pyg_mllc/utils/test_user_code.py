import importlib
import pickle
import sys

import pytest

from pyg_mllc.data import eval_loader, infinite_loader
from pyg_mllc.utils.user_code import NamedModules, find_named, finder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of modules, none of which was imported; what is found there is forgotten again."""
    for name in ("own_a", "own_b"):
        (tmp_path / f"{name}.py").write_text(f"NAME = '{name}'\n")
    (tmp_path / "own_pack").mkdir()
    (tmp_path / "own_pack/__init__.py").write_text("from . import inner\n")
    (tmp_path / "own_pack/inner.py").write_text("import own_b\n")
    before, path = set(sys.modules), list(sys.meta_path)
    yield str(tmp_path)
    sys.meta_path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_is_named_is_found_and_nothing_beside_it(folder):
    find_named(folder, ["own_a.deep.Class"])
    assert importlib.import_module("own_a").NAME == "own_a"
    assert sys.modules["own_a"].__file__ == f"{folder}/own_a.py"
    with pytest.raises(ModuleNotFoundError, match="own_b"):
        importlib.import_module("own_b")
    assert folder not in sys.path


def test_a_package_finds_what_is_in_it_and_beside_it_only_what_is_named(folder):
    find_named(folder, ["own_pack"])
    with pytest.raises(ModuleNotFoundError, match="own_b"):
        importlib.import_module("own_pack")
    find_named(folder, ["own_pack", "own_b"])
    assert importlib.import_module("own_pack").inner.own_b.NAME == "own_b"


def test_what_is_installed_is_not_replaced(folder, tmp_path):
    (tmp_path / "yaml.py").write_text("raise AssertionError('ran')")
    known = sys.modules.pop("yaml", None)
    find_named(folder, ["yaml"])
    assert importlib.import_module("yaml").__file__ != f"{folder}/yaml.py"
    if known:
        sys.modules["yaml"] = known


def test_who_names_others_forgets_the_first(folder):
    find_named(folder, ["own_a"])
    find_named(folder, [])
    assert finder() is None
    assert sum(isinstance(f, NamedModules) for f in sys.meta_path) == 1
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("own_a")


def test_a_new_process_that_loads_images_finds_the_modules_of_its_data_set(folder, tmp_path):
    (tmp_path / "own_data.py").write_text(
        "class Three(list):\n    def __init__(self, *_):\n        super().__init__('abc')\n"
    )
    for make in (lambda samples: infinite_loader(samples, 1, seed=0), lambda s: eval_loader(s, 1)):
        find_named(folder, ["own_data"])
        sent = pickle.dumps(make(importlib.import_module("own_data").Three()).dataset)
        find_named(folder, [])  # a new process knows neither
        del sys.modules["own_data"]
        found = pickle.loads(sent)
        assert [found[i] for i in range(len(found))] == ["a", "b", "c"]
        assert type(found.samples).__name__ == "Three" and finder().names == {"own_data"}
        del sys.modules["own_data"]


def test_without_own_code_a_data_set_goes_as_it_is(folder):
    find_named(folder, [])
    samples = ["a", "b"]
    assert eval_loader(samples, 1).dataset is samples
