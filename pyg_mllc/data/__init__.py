"""Data sets, their labeled and unlabeled splits, loaders and batches."""

from pyg_mllc.data.base import ReadableSet, Sample, SampleSet
from pyg_mllc.data.batch import Batch, make_batch, to_float
from pyg_mllc.data.builtin_specs import (
    CAMVID,
    CAMVID32,
    CAMVID_COLORS,
    CITYSCAPES,
    CITYSCAPES_TRAIN_IDS,
    SPECS,
    VOC,
    VOC_AUG,
    get_spec,
)
from pyg_mllc.data.dataset import OriginalSizeDataset, SegmentationDataset
from pyg_mllc.data.datasets import load_dataset
from pyg_mllc.data.folder import folder
from pyg_mllc.data.loaders import InfiniteBatchSampler, eval_loader, infinite_loader
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
    "Batch",
    "DatasetSpec",
    "InfiniteBatchSampler",
    "OriginalSizeDataset",
    "Protocol",
    "ReadableSet",
    "Sample",
    "SampleSet",
    "SegmentationDataset",
    "Splits",
    "Textures",
    "eval_loader",
    "folder",
    "get_spec",
    "infinite_loader",
    "load_dataset",
    "make_batch",
    "make_splits",
    "textures",
    "to_float",
    "write_partition",
]
