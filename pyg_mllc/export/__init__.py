"""Trained networks for ONNX and torch.export."""

from pyg_mllc.export.formats import about, run_onnx, run_pt2, to_onnx, to_pt2, trace
from pyg_mllc.export.model import ExportableNetwork
from pyg_mllc.export.verify import Comparison, compare, views

__all__ = [
    "Comparison",
    "ExportableNetwork",
    "about",
    "compare",
    "run_onnx",
    "run_pt2",
    "to_onnx",
    "to_pt2",
    "trace",
    "views",
]
