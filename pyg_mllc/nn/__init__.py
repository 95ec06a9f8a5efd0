"""Networks: the segmenter, the label corrector, and the two joined."""

from pyg_mllc.nn.class_thresholds import ClassThresholds, class_thresholds
from pyg_mllc.nn.correction_round import CorrectionRound, trust
from pyg_mllc.nn.corrector import Correction, LabelCorrector
from pyg_mllc.nn.dense_corrector import ExportableCorrector
from pyg_mllc.nn.frozen_features import EncoderFeatures, FrozenFeatures
from pyg_mllc.nn.graph_layer import GraphLayer
from pyg_mllc.nn.prediction import Prediction
from pyg_mllc.nn.segmenter import CorrectedSegmenter, Segmenter
from pyg_mllc.nn.soft_labels import label_logits

__all__ = [
    "ClassThresholds",
    "CorrectedSegmenter",
    "Correction",
    "CorrectionRound",
    "EncoderFeatures",
    "ExportableCorrector",
    "FrozenFeatures",
    "GraphLayer",
    "LabelCorrector",
    "Prediction",
    "Segmenter",
    "class_thresholds",
    "label_logits",
    "trust",
]
