"""Data sets, their labeled and unlabeled splits, and loaders."""

from pyg_mllc.data.base import ReadableSet, Sample, SampleSet
from pyg_mllc.data.catalog import (
    CAMVID,
    CAMVID32,
    CAMVID_COLORS,
    CITYSCAPES,
    CITYSCAPES_TRAIN_IDS,
    SPECS,
    VOC,
    VOC_AUG,
    spec_named,
)
from pyg_mllc.data.dataset import OwnSizes, SegmentationDataset
from pyg_mllc.data.datasets import camvid, published, voc
from pyg_mllc.data.folder import folder
from pyg_mllc.data.loaders import EndlessBatches, endless_loader, eval_loader
from pyg_mllc.data.spec import DatasetSpec, Protocol
from pyg_mllc.data.splits import Splits, make_splits, write_partition
from pyg_mllc.data.synthetic.textures import TEXTURES, Textures, textures

__all__ = [
    "CAMVID",
    "CAMVID32",
    "CAMVID_COLORS",
    "CITYSCAPES",
    "CITYSCAPES_TRAIN_IDS",
    "SPECS",
    "TEXTURES",
    "VOC",
    "VOC_AUG",
    "DatasetSpec",
    "EndlessBatches",
    "OwnSizes",
    "Protocol",
    "ReadableSet",
    "Sample",
    "SampleSet",
    "SegmentationDataset",
    "Splits",
    "Textures",
    "camvid",
    "endless_loader",
    "eval_loader",
    "folder",
    "make_splits",
    "published",
    "spec_named",
    "textures",
    "voc",
    "write_partition",
]
