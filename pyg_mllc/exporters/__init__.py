"""Trained networks for ONNX and torch.export."""

from pyg_mllc.exporters.formats import about, run_onnx, run_pt2, to_onnx, to_pt2, trace
from pyg_mllc.exporters.model import ExportableNetwork
from pyg_mllc.exporters.verify import Comparison, MismatchError, compare, views

__all__ = [
    "Comparison",
    "ExportableNetwork",
    "MismatchError",
    "about",
    "compare",
    "run_onnx",
    "run_pt2",
    "to_onnx",
    "to_pt2",
    "trace",
    "views",
]
