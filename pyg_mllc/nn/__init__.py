"""Networks: the segmenter, the label corrector, and the two joined."""

from pyg_mllc.nn.channel_dropout import channel_dropout, complementary_dropout
from pyg_mllc.nn.class_thresholds import ClassThresholds, class_thresholds
from pyg_mllc.nn.corrected_segmenter import CorrectedSegmenter
from pyg_mllc.nn.correction_memory import CorrectionMemory
from pyg_mllc.nn.correction_round import CorrectionRound, RoundOptions, trust
from pyg_mllc.nn.corrector import CorrectedLabels, LabelCorrector
from pyg_mllc.nn.evidence import GaussianEvidence, LabeledImages, start_from_evidence
from pyg_mllc.nn.evidence_calibration import Calibration, calibration_table
from pyg_mllc.nn.exportable_corrector import ExportableCorrector
from pyg_mllc.nn.frozen_features import EncoderFeatures, FrozenFeatures
from pyg_mllc.nn.graph_layer import GraphLayer
from pyg_mllc.nn.prediction import CorrectionContext, CorrectionOutput, Prediction, RoundTrace
from pyg_mllc.nn.segmenter import Segmenter
from pyg_mllc.nn.soft_labels import label_logits

__all__ = [
    "Calibration",
    "ClassThresholds",
    "CorrectedLabels",
    "CorrectedSegmenter",
    "CorrectionContext",
    "CorrectionMemory",
    "CorrectionOutput",
    "CorrectionRound",
    "EncoderFeatures",
    "ExportableCorrector",
    "FrozenFeatures",
    "GaussianEvidence",
    "GraphLayer",
    "LabelCorrector",
    "LabeledImages",
    "Prediction",
    "RoundOptions",
    "RoundTrace",
    "Segmenter",
    "calibration_table",
    "channel_dropout",
    "class_thresholds",
    "complementary_dropout",
    "label_logits",
    "start_from_evidence",
    "trust",
]
