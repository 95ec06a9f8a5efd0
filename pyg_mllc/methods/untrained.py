"""A corrector beside methods that do not train it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pyg_mllc.errors import InputError
from pyg_mllc.methods.base import check_thresholds
from pyg_mllc.nn import CorrectedSegmenter, LabelCorrector, Segmenter
from pyg_mllc.nn.frozen_features import FrozenFeatures
from pyg_mllc.nn.graph_layer import GraphLayer


def untrained(
    segmenter: Segmenter,
    corrector: LabelCorrector | None,
    correct: bool,
    sight: Callable[..., FrozenFeatures] | None,
    anchors: int,
    thresholds: str,
) -> tuple[CorrectedSegmenter, dict[str, Any]]:
    """Give a student whose corrector learns nothing, and options of `Method` for its graphs.

    Args:
        segmenter: the network to train.
        corrector: corrects its labels if `correct`.
        correct: whether to correct at all; if not, all that follows counts for nothing.
        sight: what graphs look at, made from the size of the embedding, which nothing trains here;
            by default a frozen encoder's stages.
        anchors: see `Method`.
        thresholds: likewise.

    Raises:
        InputError: if `thresholds` is none of `Method`'s, or labels are to be corrected without a
            corrector, or by one whose layers need training.
    """
    check_thresholds(thresholds)
    if not correct or (corrector is not None and not len(corrector.rounds)):
        return CorrectedSegmenter(segmenter, LabelCorrector(segmenter.num_classes, rounds=0)), {}
    if corrector is None:
        raise InputError("method.correct=true needs a corrector")
    layers = [module for module in corrector.modules() if isinstance(module, GraphLayer)]
    if any(list(layer.parameters()) for layer in layers):
        raise InputError(
            "method.correct=true does not train the corrector, whose layers start at random; "
            "take corrector.conv=affinity and corrector.feature_conv=affinity, or method=mllc"
        )
    sight = sight or partial(FrozenFeatures, embedding=False)
    graphs = {"sight": sight, "anchors": anchors, "thresholds": thresholds}
    return CorrectedSegmenter(segmenter, corrector.requires_grad_(False)), graphs
