"""Every configuration composes and builds, and the rows of tables are what they were."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from functools import cache
from hashlib import sha256
from inspect import signature
from pathlib import Path

import pytest
import torch
from hydra import compose
from hydra.errors import InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf

from pyg_mllc.cli.composition import composing, experiment_rows
from pyg_mllc.data import SPECS, load_dataset
from pyg_mllc.data.splits import make_splits
from pyg_mllc.nn import LabelCorrector, Segmenter
from pyg_mllc.training import TrainerConfig

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
DIGESTS = Path(__file__).with_name("digests.json")  # of all experiments
PARTS = ("data", "model", "corrector", "method", "optimizer", "scheduler", "trainer")
FILES = [file.stem for file in (CONFIGS / "experiment").glob("*.yaml")]
EXPERIMENTS = sorted([*FILES, *experiment_rows()])


@cache
def experiment(name):
    """Compose each experiment once."""
    return composed(f"experiment={name}")


def plain(cfg, part):
    """Return a part's options as text, by which `cache` knows it again."""
    return json.dumps(OmegaConf.to_container(cfg[part], resolve=True))


@cache
def segmenter_of(model):
    """Build each network once, however many rows share it; on meta, it holds no numbers."""
    with torch.device("meta"):
        return instantiate(json.loads(model) | {"weights": None})(num_classes=3)


@cache
def check_method(method, corrector, model):
    """Build each method once, however many rows share it."""
    method, segmenter = json.loads(method), segmenter_of(model)
    if method["memory"]["encoder"]:
        method["memory"]["encoder"]["weights"] = None
    rounds = instantiate(json.loads(corrector))(num_classes=3, feature_dim=segmenter.feature_dim)
    assert instantiate(method)(segmenter=segmenter, corrector=rounds).student.segmenter is segmenter


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_the_training_it_was_builds_and_begins_with_its_command(name):
    cfg = experiment(name)
    assert cfg.name == name
    assert digest_of(name) == digests()[name]
    if labeled := re.match(r"methods/[a-z]+_(\w+?)_", name):
        assert cfg.data.labeled == (None if labeled[1] == "all" else int(labeled[1]))
    assert ("root" in cfg.data) == (" data.root=" in command_of(name))
    # All else goes to constructors, which refuse what they do not know.
    own = {"name", "seed", "output", "overwrite", "allow", "resume", "baseline"}
    assert set(cfg) <= {*own, *PARTS}
    reads_its_data(plain(cfg, "data"))
    settings(cfg)
    for part in filter(cfg.get, ("baseline", "method")):
        check_method(plain(cfg, part), plain(cfg, "corrector"), plain(cfg, "model"))


def settings(cfg):
    """Build the configuration of the training."""
    return trainer_config(*(plain(cfg, part) for part in ("trainer", "optimizer", "scheduler")))


@cache
def trainer_config(trainer, optimizer, scheduler):
    factories = {"optimizer": optimizer, "scheduler": scheduler}
    built = {name: instantiate(json.loads(part)) for name, part in factories.items()}
    return instantiate(json.loads(trainer), **built)


def command_of(name):
    """Return the command at the head of an experiment's file, or of its table."""
    if table := name.rpartition("/")[0]:
        command, *_ = (CONFIGS / "table" / f"{table}.yaml").read_text().splitlines()
        name = f"{table}/<row>"
    else:
        first, command, *_ = (CONFIGS / "experiment" / f"{name}.yaml").read_text().splitlines()
        assert first == "# @package _global_"
    assert command.split()[:4] == ["#", "mllc", "train", f"experiment={name}"]
    return command


def digest_of(name):
    """Return a short hash of an experiment's configuration."""
    plain = OmegaConf.to_container(experiment(name), resolve=False)
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def digests():
    """Return the digests of all configurations as they were when last changed on purpose.

    `python tests/configs/test_configs.py` writes them anew after a change of options.
    """
    return json.loads(DIGESTS.read_text())


def test_every_experiment_has_a_digest():
    assert sorted(digests()) == EXPERIMENTS


@cache
def reads_its_data(options):
    """Whether all options of a data set that is not here are known, and its folder is missed."""
    options = json.loads(options)
    if "root" not in options:
        assert len(instantiate(options).val)
        return
    readers = (
        get_method(options["_target_"]),
        load_dataset,
        make_splits,
    )  # each passes on to the next
    known = {name for reader in readers for name in signature(reader).parameters}
    assert set(options) <= {"_target_", *known}
    with pytest.raises(InstantiationException) as failure:
        instantiate(options | {"root": "nowhere"})
    assert "data.root=nowhere does not exist" in str(failure.value.__cause__)
    if options["partition"] is not None:
        assert options["partition"] in SPECS[options["spec"]].protocols


@pytest.mark.parametrize("part", PARTS)
def test_no_option_goes_unread(part):
    cfg = composed(f"+{part}.lambda_x=1", "model.encoder=test_resnet", "model.weights=null")
    with pytest.raises((TypeError, InstantiationException), match="lambda_x"):
        built = instantiate(cfg[part])
        if part in ("optimizer", "scheduler"):
            settings(cfg)
        if part == "model":
            built(num_classes=3)
        elif part == "corrector":
            built(num_classes=3, feature_dim=128)
        elif part == "method":
            segmenter = segmenter_of(plain(cfg, "model"))
            built(segmenter=segmenter, corrector=LabelCorrector(3, 128))


@pytest.mark.parametrize(
    "names",
    [  # which the texts take for one training
        ("evidence/voc_reference", "methods/voc_27_mllc_bayes_teacher"),
        ("ablation/voc_reference", "graphs/voc_k_20", "layers/voc_affinity"),
    ],
)
def test_rows_of_two_tables_are_the_same_training(names):
    first, *others = (_trains(name) for name in names)
    assert others == [first] * len(others)


@pytest.mark.parametrize(
    "few, more", [("voc_27", "voc_54"), ("camvid_23", "camvid_46"), ("camvid_92", "camvid_46")]
)
def test_shares_of_the_labels_differ_in_nothing_else(few, more):
    prefix = f"methods/{few}_"
    rows = {name: row for name, row in experiment_rows().items() if name.startswith(prefix)}
    assert len(rows) > 5
    for name, row in rows.items():
        same = name.replace(prefix, f"methods/{more}_")
        assert row == {"from": same, "data.labeled": int(few.split("_")[1])}


def _trains(name):
    cfg = OmegaConf.to_container(experiment(name), resolve=False)
    return {part: cfg[part] for part in PARTS}


def group(name):
    return sorted(f.name.removesuffix(".yaml") for f in (CONFIGS / name).iterdir())


def composed(*overrides):
    with composing():
        return compose("train", overrides=list(overrides))


@pytest.mark.parametrize("name", group("method"))
def test_every_method_builds(name):
    more = ["method.memory.encoder.name=test_resnet", "method.memory.encoder.weights=null"]
    cfg = composed(f"method={name}", *(more if name in ("mllc_anchors", "mllc_evidence") else []))
    init = cfg.model.init  # which `method=instant` chooses
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=8, init=init)
    corrector = instantiate(cfg.corrector)(num_classes=3, feature_dim=8)
    assert instantiate(cfg.method)(segmenter=segmenter, corrector=corrector).student


def test_a_method_may_bring_its_corrector_and_the_one_given_wins():
    assert composed().corrector.anchor_rule == "mean"
    assert composed("method=mllc_evidence").corrector.anchor_rule == "bayes"
    assert composed("experiment=demo", "method=mllc_evidence").corrector.anchor_rule == "bayes"
    assert composed("corrector=mllc", "method=mllc_evidence").corrector.anchor_rule == "mean"


@pytest.mark.parametrize("images", [27, 54])
def test_the_method_by_name_is_the_measured_one_but_for_what_its_graphs_look_at(images):
    row = f"experiment=methods/voc_{images}_mllc_bayes_teacher_views_uniform"
    named, measured = composed("method=mllc_evidence", "trainer.max_steps=600"), composed(row)
    named, measured = (OmegaConf.to_container(c.method, resolve=True) for c in (named, measured))
    named["memory"]["encoder"] |= {"strides": [16, 32]}
    assert named == measured


@pytest.mark.parametrize("name", group("model"))
def test_every_model_builds_without_its_weights(name):
    network = segmenter_of(plain(composed(f"model={name}"), "model"))
    assert network(torch.rand(2, 3, 64, 64, device="meta")).logits.size(1) == 3


@pytest.mark.parametrize("name", group("frozen_encoder"))
def test_every_frozen_encoder_builds_without_its_weights(name):
    cfg = composed("method=supervised", f"frozen_encoder@method.memory.encoder={name}")
    encoder = cfg.method.memory.encoder
    encoder.weights = None
    with torch.device("meta"):
        features = instantiate(encoder)(feature_dim=8)
    if not encoder.remove_position:
        maps = features(torch.rand(2, 3, 64, 64, device="meta"), (8, 8))
        assert maps.shape == (2, features.feature_dim, 8, 8)


def test_a_frozen_encoder_by_name_takes_the_place_of_the_embedding():
    assert composed("method=mllc").method.memory.encoder is None
    chosen = composed(
        "method=mllc", "frozen_encoder@method.memory.encoder=lite2"
    ).method.memory.encoder
    assert (chosen.name, chosen.strides) == ("tf_efficientnet_lite2", [8, 16])


@pytest.mark.parametrize("name", group("data"))
def test_every_data_set_asks_for_its_folder_or_builds(name):
    cfg = composed(f"data={name}", f"data.{'seed=1' if name == 'textures' else 'root=nowhere'}")
    reads_its_data(plain(cfg, "data"))


@pytest.mark.parametrize("name", group("trainer"))
def test_every_trainer_builds(name):
    config = settings(composed(f"trainer={name}"))
    assert 0 < config.val_check_interval <= config.max_steps  # validates at least once


@pytest.mark.parametrize("name", group("optimizer"))
@pytest.mark.parametrize("scheduler", group("scheduler"))
def test_every_optimizer_and_scheduler_builds(name, scheduler):
    config = settings(composed(f"optimizer={name}", f"scheduler={scheduler}"))
    made = config.scheduler(config.optimizer([torch.zeros(1)]))
    assert made.optimizer.param_groups[0]["lr"] == 3e-4


def test_a_trainer_may_bring_its_optimizer_and_the_one_given_wins():
    assert composed("trainer=published").optimizer._target_ == "torch.optim.SGD"
    given = composed("trainer=published", "optimizer=adamw", "optimizer.lr=0.5").optimizer
    assert given._target_ == "torch.optim.AdamW" and given.lr == 0.5


def test_options_and_signatures_have_the_same_defaults():
    config, default = settings(composed()), TrainerConfig()
    assert config.optimizer.func is default.optimizer.func
    assert config.optimizer.keywords == default.optimizer.keywords
    assert config.scheduler.keywords == {"power": 0.9, "total_iters": default.max_steps}
    for field in fields(default):
        if field.name not in ("optimizer", "scheduler"):
            value = getattr(default, field.name)
            given = getattr(config, field.name)
            assert (tuple(given) if field.name == "logger" else given) == value, field.name


def test_values_of_the_command_line_win_over_those_of_a_row():
    assert composed("experiment=ablation/voc_rounds_3").corrector.rounds == 3
    assert composed("experiment=ablation/voc_rounds_3", "corrector.rounds=1").corrector.rounds == 1
    chosen = composed("experiment=methods/voc_54_fixmatch", "method=unimatch")
    assert chosen.method._target_ == "pyg_mllc.methods.UniMatch"


def test_an_experiment_of_ones_own_starts_from_a_row(tmp_path):
    own = tmp_path / "experiment" / "mine" / "row.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(
        "# @package _global_\n"
        "defaults: [/experiment/ablation/voc_rounds_3, override /method: mllc_anchors, _self_]\n"
        "corrector: {k: 3}\n"
    )
    found = composed(f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine/row")
    assert (found.corrector.rounds, found.corrector.k, found.method.memory.anchors) == (3, 3, 4000)


def test_a_wheel_holds_the_configurations(tmp_path):
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = options["tool"]["hatch"]["build"]["targets"]["wheel"]
    places = {name: name for name in wheel["packages"]} | wheel["force-include"]
    for source, place in places.items():
        shutil.copytree(ROOT / source, tmp_path / place, dirs_exist_ok=True)
    code = (
        "from hydra import compose; from pyg_mllc.cli.composition import composing, config_dir\n"
        "with composing():\n"
        "    print(config_dir(), compose('train', ['experiment=ablation/voc_rounds_3']).name)"
    )
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told.split() == [str(tmp_path / "pyg_mllc" / "configs"), "ablation/voc_rounds_3"]


if __name__ == "__main__":
    digests = {name: digest_of(name) for name in EXPERIMENTS}
    DIGESTS.write_text(json.dumps(digests, indent=0) + "\n")
