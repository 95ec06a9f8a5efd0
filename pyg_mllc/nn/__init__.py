"""Networks: the segmenter, the label corrector, and the two joined."""

from pyg_mllc.nn.conv import GraphLayer
from pyg_mllc.nn.correction import Correction, LabelCorrector
from pyg_mllc.nn.export import ExportableCorrector
from pyg_mllc.nn.label_flow import label_logits
from pyg_mllc.nn.prediction import Prediction
from pyg_mllc.nn.rounds import CorrectionRound, trust
from pyg_mllc.nn.segmenter import CorrectedSegmenter, Segmenter
from pyg_mllc.nn.thresholds import ClassThresholds, class_thresholds

__all__ = [
    "ClassThresholds",
    "CorrectedSegmenter",
    "Correction",
    "CorrectionRound",
    "ExportableCorrector",
    "GraphLayer",
    "LabelCorrector",
    "Prediction",
    "Segmenter",
    "class_thresholds",
    "label_logits",
    "trust",
]
