"""Networks that `experiments.run` trained, and the images that they learned from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

import pyg_mllc
from experiments.run import Job
from pyg_mllc.data import DatasetSpec, Sample, SampleSet, Splits
from pyg_mllc.losses import upsample
from pyg_mllc.prediction import Predictor


def trained(config: str, seed: int, network: str = "teacher") -> Predictor:
    """The network of a row of a table as it was at its last step."""
    [file] = Job(config, (), seed).folder.glob("*/last.ckpt")
    return pyg_mllc.load(file, network=network)


def data_of(config: str, seed: int, **changes: Any) -> Splits:
    """The images of a row, all of them labeled, by default as large as in training."""
    options = OmegaConf.load(Job(config, (), seed).folder / "run.yaml").data
    return instantiate(options, labeled=None, partition=None, **changes)


def unlabeled_with_truth(
    config: str, seed: int, **changes: Any
) -> tuple[SampleSet, list[int], DatasetSpec]:
    """Training images of a row, the places of the unlabeled ones, and their classes.

    Their truth comes along, which training never saw.
    """
    listed = (Job(config, (), seed).folder / "partition" / "unlabeled.txt").read_text().split()
    names = {Path(line).stem for line in listed}
    splits = data_of(config, seed, **changes)
    places = [i for i, path in enumerate(splits.labeled.images) if path.stem in names]
    return splits.labeled, places, splits.spec


@torch.no_grad()
def beliefs(predictor: Predictor, images: SampleSet, places: list[int]) -> Iterator[tuple]:
    """For each image its sample and the logits `(K + 1, C, H, W)` before and after each round."""
    for i in places:
        sample: Sample = images[i]
        history = predictor.method.predict(predictor.seeing, sample["image"][None] / 255)
        size = sample["label"].shape
        yield sample, torch.cat([upsample(p.logits.float(), size) for p in history])
