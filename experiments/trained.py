"""Networks that `experiments.run` trained, and the images that they learned from."""

from collections.abc import Iterator
from pathlib import Path

import torch
from omegaconf import OmegaConf

import pyg_mllc
from experiments.run import Job
from pyg_mllc.data import Sample, SampleSet, camvid
from pyg_mllc.losses import upsample
from pyg_mllc.prediction import Predictor


def trained(config: str, seed: int, network: str = "teacher") -> Predictor:
    """The network of a row of a table as it was at its last step."""
    [file] = Job(config, (), seed).folder.glob("*/last.ckpt")
    return pyg_mllc.load(file, network=network)


def unlabeled_with_truth(
    config: str, seed: int, size: tuple[int, int] | None = None
) -> tuple[SampleSet, list[int]]:
    """Unlabeled CamVid images of a row, by default as large as in training.

    Their truth comes along, which training never saw.
    """
    folder = Job(config, (), seed).folder
    options = OmegaConf.load(folder / "run.yaml").data
    listed = (folder / "partition" / "unlabeled.txt").read_text().split()
    names = {Path(line).stem for line in listed}
    size = size or tuple(options.size)
    images = camvid(options.root, labeled=None, size=size, seed=options.seed).labeled
    return images, [i for i, path in enumerate(images.images) if path.stem in names]


@torch.no_grad()
def beliefs(predictor: Predictor, images: SampleSet, places: list[int]) -> Iterator[tuple]:
    """For each image its sample and the logits `(K + 1, C, H, W)` before and after each round."""
    for i in places:
        sample: Sample = images[i]
        history = predictor.method.predict(predictor.seeing, sample["image"][None] / 255)
        size = sample["label"].shape
        yield sample, torch.cat([upsample(p.logits.float(), size) for p in history])
