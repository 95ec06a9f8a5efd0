"""Real embeddings for benchmarks, of a segmenter trained briefly on CamVid."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.job import data_root
from pyg_mllc.data import load_dataset, to_float
from pyg_mllc.methods import Supervised
from pyg_mllc.nn import Prediction, Segmenter
from pyg_mllc.training import TrainerConfig, train
from pyg_mllc.utils.io import atomic_open

CACHE = Path("outputs/benchmarks")


def trained_segmenter(steps: int = 100) -> Segmenter:
    """Train on 23 labeled images of CamVid (the folder `MLLC_DATA/camvid`), once; stride 4."""
    torch.manual_seed(0)
    segmenter = Segmenter(11, weights="package", stride=4, feature_stride=4)
    file = CACHE / f"segmenter_{steps}.pt"
    if not file.exists():
        splits = load_dataset("camvid", data_root("camvid"), 23, (180, 240), val=8)
        config = TrainerConfig(max_steps=steps, val_check_interval=steps, accelerator="cpu")
        train(Supervised(segmenter), splits, config, seed=0, out=CACHE / "camvid", name="camvid")
        with atomic_open(file) as opened:
            torch.save(segmenter.state_dict(), opened)
    segmenter.load_state_dict(torch.load(file, weights_only=True))
    return segmenter.eval()


@torch.no_grad()
def predict(height: int, width: int, image: int = 0) -> tuple[Prediction, Tensor]:
    """Predict a validation image at a size; return its prediction and its label."""
    splits = load_dataset("camvid", data_root("camvid"), labeled=1, size=(360, 480))
    sample = splits.val[image]
    picture = F.interpolate(
        to_float(sample["image"])[None], (4 * height, 4 * width), mode="bilinear", antialias=True
    )
    return trained_segmenter()(picture), sample["label"]
