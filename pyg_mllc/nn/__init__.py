"""Networks: the segmenter, the label corrector, and the two joined."""

from pyg_mllc.nn.correction import CorrectionRound, LabelCorrector, trusted
from pyg_mllc.nn.prediction import Prediction
from pyg_mllc.nn.segmenter import CorrectedSegmenter, Segmenter
from pyg_mllc.nn.thresholds import ClassThresholds, class_thresholds

__all__ = [
    "ClassThresholds",
    "CorrectedSegmenter",
    "CorrectionRound",
    "LabelCorrector",
    "Prediction",
    "Segmenter",
    "class_thresholds",
    "trusted",
]
