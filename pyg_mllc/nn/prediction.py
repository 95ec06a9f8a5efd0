"""Types that flow through the library: predictions, and inputs and outputs of correction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch_geometric.data import Data

from graphs import AnchorMemory, ClassHubs


class Prediction(NamedTuple):
    """Class scores and features of each pixel, before or after correction."""

    logits: Tensor  # (B, C, h, w), unnormalized class scores
    features: Tensor  # (B, D, h, w), close for pixels that look alike


class CorrectionContext(NamedTuple):
    """Inputs of correction besides a prediction, see `LabelCorrector.forward`; all are optional."""

    class_counts: Tensor | None = None  # (C,), confident pixels seen of each class
    anchors: AnchorMemory | None = None  # labeled pixels of other images
    image: Tensor | None = None  # (B,) or (N,), number of each image or pixel's in anchors
    graph_features: Tensor | None = None  # (B, D', h, w), that pixels are compared by
    evidence: Tensor | None = None  # (B, C, h', w'), log densities to add to the logits


class RoundTrace(NamedTuple):
    """Record of one round of correction over N nodes; pixels of maps are nodes row by row."""

    before: Tensor  # (N, C), logits before the round
    after: Tensor  # (N, C), and after it
    trust: Tensor  # (N,), in [0, 1], see `trust`
    neighbor_weight: Tensor  # (N,), weight of the neighbors' opinion, in [0, 1]
    graph: Data | None  # over which labels flow, see `label_graph`; None if none do
    hubs: ClassHubs | None  # class-level graph, over which features flow; None if none do


@dataclass(frozen=True)
class CorrectionOutput:
    """Predictions before correction and after each round; iterates in this order.

    Attributes:
        before: the prediction before the first round.
        rounds: predictions after each of the K rounds.
        trace: a record of each round, if it was asked for.
    """

    before: Prediction
    rounds: tuple[Prediction, ...] = ()
    trace: tuple[RoundTrace, ...] = ()

    @property
    def after(self) -> Prediction:
        """Prediction after the last round; without rounds, the one before correction."""
        return self.rounds[-1] if self.rounds else self.before

    @property
    def logits(self) -> Tensor:
        """Logits after the last round."""
        return self.after.logits

    def __iter__(self) -> Iterator[Prediction]:
        return iter((self.before, *self.rounds))

    def __len__(self) -> int:
        return 1 + len(self.rounds)
