from importlib.resources import files

import pytest
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

CONFIGS = files("pyg_mllc.configs")
EXPERIMENTS = sorted(f.name.removesuffix(".yaml") for f in (CONFIGS / "experiment").iterdir())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_builds(name):
    with initialize_config_module("pyg_mllc.configs", version_base="1.3"):
        cfg = compose("train", overrides=[f"experiment={name}", "model.weights=null"])
    assert cfg.name == name
    instantiate(cfg.trainer)
    segmenter = instantiate(cfg.model)(num_classes=3)
    corrector = instantiate(cfg.corrector)(num_classes=3, feature_dim=segmenter.feature_dim)
    for config in filter(None, (cfg.get("baseline"), cfg.method)):
        method = instantiate(config)(segmenter=segmenter, corrector=corrector)
        assert method.student.segmenter is segmenter


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_head_of_every_experiment_is_its_command(name):
    lines = (CONFIGS / "experiment" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith(f"# mllc train experiment={name}")
