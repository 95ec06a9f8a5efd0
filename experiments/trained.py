"""Networks that `experiments.run` trained, and their training images."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from omegaconf import OmegaConf
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

import pyg_mllc
from experiments.job import Job
from pyg_mllc.cli.composition import composing
from pyg_mllc.data import DatasetSpec, Sample, SegmentationDataset, Splits, to_float
from pyg_mllc.data.image_file import read_image_size
from pyg_mllc.data.image_io import fitted_size
from pyg_mllc.inference.predictor import Predictor
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.instantiate import make
from pyg_mllc.utils.resize import upsample
from pyg_mllc.utils.sampling import evenly_spaced

MLLC_RUNS = (  # whose corrections are looked into
    "methods/camvid_23_mllc",
    "methods/camvid_23_mllc_anchors",
    "methods/voc_54_mllc",
    "methods/voc_54_mllc_anchors",
    "methods/voc_54_mllc_bayes",
)


def finished(rows: Iterable[str], seed: int = 0) -> list[Job]:
    """Return the runs of rows that have been trained here; print the names of the others."""
    jobs = [Job(row, (), seed) for row in rows]
    for job in jobs:
        if not job.ended:
            print(f"left out: {_missing(job)}")
    return [job for job in jobs if job.ended]


def _missing(job: Job) -> str:
    table, row = job.config.split("/")
    options = " ".join(["--set", *job.overrides]) if job.overrides else ""
    command = f"{table} --rows {row} --seeds {job.seed} {options}".strip()
    return (
        f"{job.config}, seed {job.seed}, is not trained here; "
        f"python -m experiments.run {command} --networks trains it"
    )


def file_of(job: Job, name: str) -> Path:
    """Return a file of a run; exit with a message if the run is not trained here."""
    if not job.ended:
        raise SystemExit(_missing(job))
    [file] = job.folder.glob(f"*/{name}")
    return file


def key(job: Job) -> tuple[str, str]:
    """Return the columns that identify the network of a run in tables."""
    return job.config, str(job.seed)


def trained(job: Job, network: str = "teacher") -> Predictor:
    """Load the network of a run at its last step."""
    return pyg_mllc.load(file_of(job, "last.ckpt"), network=network)


def data_of(job: Job, **changes: Any) -> Splits:
    """Load the images of a run, all of them labeled, by default at the size of training."""
    return run_data(job, labeled=None, partition=None, **changes)


def run_data(job: Job, **changes: Any) -> Splits:
    """Load the images of a run as training saw them, but for changed options."""
    options: Any = OmegaConf.to_container(OmegaConf.load(job.folder / "run.yaml").data)
    return make({**options, **changes}, "data")


def splits_of(row: str, seed: int = 0) -> Splits:
    """Load the images of a row, which need not be trained."""
    with composing():
        job = Job(row, (), seed)
        options = [f"experiment={row}", f"seed={seed}", f"data.root={job.root}"]
        data: Any = OmegaConf.to_container(compose("train", options).data, resolve=True)
        return make(data, "data")


def unlabeled_with_truth(
    job: Job, count: int, **changes: Any
) -> tuple[SegmentationDataset, list[int], DatasetSpec]:
    """Load training images of a run, with positions of unlabeled ones, and the spec.

    There are `count` positions, evenly spaced. Training never saw the truth of these images.
    """
    listed = (job.folder / "partition" / "unlabeled.txt").read_text().split()
    names = {Path(line).stem for line in listed}
    splits = data_of(job, **changes)
    images = splits.labeled
    assert isinstance(images, SegmentationDataset)
    places = [i for i, path in enumerate(images.images) if path.stem in names]
    return images, [places[i] for i in evenly_spaced(len(places), count)], splits.spec


@torch.no_grad()
def logits_of(
    predictor: Predictor, images: SegmentationDataset, places: Sequence[int]
) -> Iterator[tuple[Sample, Tensor]]:
    """Predict images: yield a sample and its logits `(K + 1, C, H, W)` before and after each round.

    The padding, which the network sees, is cut off.
    """
    for i in places:
        sample: Sample = images[i]
        output = predictor.network(to_float(sample["image"])[None], predictor.memory)
        size = sample["label"].shape
        logits = torch.cat([upsample(p.logits.float(), size) for p in output])
        h, w = fitted_size(*read_image_size(images.images[i]), images.size)
        cut: Sample = {
            "name": sample["name"],
            "image": sample["image"][:, :h, :w],
            "label": sample["label"][:h, :w],
        }
        yield cut, logits[..., :h, :w]


def confusions(logits: Tensor, truth: Tensor) -> Tensor:
    """Compute confusion matrices `(K + 1, C, C)` of labels before and after each round."""
    classes = logits.size(1)
    return torch.stack(
        [
            multiclass_confusion_matrix(label, truth, classes, ignore_index=IGNORE)
            for label in logits.argmax(1)
        ]
    )
