import pytest
from hydra.core.object_type import ObjectType

from pyg_mllc.cli import composition
from pyg_mllc.cli.composition import TableSource, config_dir
from pyg_mllc.errors import InputError


def test_configurations_that_are_nowhere_are_one_sentence(tmp_path, monkeypatch):
    module = tmp_path / "pyg_mllc" / "cli" / "composition.py"
    monkeypatch.setattr(composition, "__file__", str(module))
    with pytest.raises(InputError, match=r"no folder configs in .*; install pyg_mllc anew"):
        config_dir.__wrapped__()
    for folder in (tmp_path / "configs", tmp_path / "pyg_mllc" / "configs"):  # the package's wins
        folder.mkdir(parents=True)
        (folder / "train.yaml").touch()
        assert config_dir.__wrapped__() == folder


def test_tables_look_like_folders_of_experiments():
    source = TableSource("tables", "table://")
    assert "ablation" in source.list("experiment", ObjectType.GROUP)
    assert source.list("experiment", ObjectType.CONFIG) == []
    assert source.list("experiment/graphs/", None) == [f"voc_k_{k}" for k in (10, 20, 5, 50)]
    assert source.is_group("experiment/graphs") and not source.is_group("data")
    assert source.is_config("experiment/graphs/voc_k_5.yaml")
    assert not source.is_config("experiment/graphs") and not source.is_config("experiment/demo")
