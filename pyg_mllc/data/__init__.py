"""Data sets, their labeled and unlabeled splits, and loaders."""

from pyg_mllc.data.dataset import OwnSizes, SegmentationDataset
from pyg_mllc.data.loaders import EndlessBatches, endless_loader, eval_loader
from pyg_mllc.data.published import camvid, voc
from pyg_mllc.data.samples import ReadableSet, Sample, SampleSet
from pyg_mllc.data.specs import CAMVID, IGNORE, VOC, DatasetSpec
from pyg_mllc.data.splits import Splits
from pyg_mllc.data.textures import TEXTURES, Textures, textures

__all__ = [
    "CAMVID",
    "IGNORE",
    "TEXTURES",
    "VOC",
    "DatasetSpec",
    "EndlessBatches",
    "OwnSizes",
    "ReadableSet",
    "Sample",
    "SampleSet",
    "SegmentationDataset",
    "Splits",
    "Textures",
    "camvid",
    "endless_loader",
    "eval_loader",
    "textures",
    "voc",
]
