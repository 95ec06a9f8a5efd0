"""Results of trainings and evaluations: curves, figures and examples."""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.typing import IGNORE, Scores
from pyg_mllc.utils.io import atomic_open
from pyg_mllc.utils.provenance import Provenance


@dataclass(frozen=True)
class TrainingResult:
    """Curves of one training, and its results on the validation split.

    Args:
        name: Name in tables and legends.
        history: Rows with `"step"` and the values logged then: losses, `"confident"`, `"miou"` of
            the student, `"teacher_miou"`, and `"label_accuracy_r"` and `"label_miou_r"` of the
            teacher's labels after round r, with 0 for before correction. Shares are in [0, 1].
        class_iou: IoU of each class at the last validation, in [0, 1]; NaN for absent classes,
            empty if unknown.
        label_accuracy: Pixel accuracy of the teacher's labels on the validation split, before
            correction and after each round, in [0, 1].
        label_miou: Mean IoU of these labels, in the same order.
        seconds: Training time with validation, over all parts of a resumed run.
        step_seconds: Median time of a training step with loading; NaN for a single step.
        peak_mb: Peak resident memory of the process in MiB.
        provenance: Code, versions, machine and date of each part of the run, see
            `pyg_mllc.utils.provenance`; empty if unknown.
    """

    name: str
    history: list[dict[str, float]]
    class_iou: list[float]
    label_accuracy: list[float]
    label_miou: list[float]
    seconds: float
    step_seconds: float = math.nan
    peak_mb: float = math.nan
    provenance: Provenance = field(default_factory=dict)

    @property
    def last_miou(self) -> float:
        """Mean IoU of the student at the last validation, in [0, 1]; NaN without validation."""
        return (self.curve("miou") or [(0.0, math.nan)])[-1][1]

    @property
    def best_miou(self) -> float:
        """Highest mean IoU of the student, in [0, 1]; NaN without validation."""
        return max((miou for _, miou in self.curve("miou")), default=math.nan)

    @property
    def best_step(self) -> int | None:
        """First step with the highest mean IoU; None without validation."""
        return next((int(step) for step, v in self.curve("miou") if v == self.best_miou), None)

    def save(self, path: Path) -> None:
        """Write all values as JSON, atomically; NaN becomes null.

        Args:
            path: Path of the file.
        """
        best = {"last_miou": self.last_miou, "best_miou": self.best_miou}
        figures = asdict(self) | best | {"best_step": self.best_step}
        with atomic_open(path) as file:
            file.write(json.dumps(_without_nan(figures), indent=1, allow_nan=False).encode())

    @classmethod
    def load(cls, path: Path) -> "TrainingResult":
        """Load a file that `save` wrote.

        Args:
            path: Path of the file.
        """
        figures = json.loads(path.read_text())
        names = {part.name for part in fields(cls)} & figures.keys()
        return cls(**{name: _with_nan(figures[name]) for name in names})

    def curve(self, key: str) -> list[tuple[float, float]]:
        """Return the logged values of a key.

        Args:
            key: Key in the rows of `history`.

        Returns:
            Pairs of step and value, without NaN.
        """
        logged = [(row["step"], row[key]) for row in self.history if key in row]
        return [(step, value) for step, value in logged if not math.isnan(value)]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_with_nan(v) for v in value]
    return math.nan if value is None else value


@dataclass(frozen=True)
class Example:
    """Image with its labels before and after correction.

    Args:
        name: Name of the image.
        image: Image `(3, H, W)`, uint8.
        truth: True classes `(H, W)`, `IGNORE` where void.
        before: Predicted classes `(H, W)` before correction.
        after: Predicted classes `(H, W)` after the last round.
        confidence: Confidence `(H, W)` in the label after correction, in [0, 1].
    """

    name: str
    image: Tensor
    truth: Tensor
    before: Tensor
    after: Tensor
    confidence: Tensor

    def accuracy(self, label: Tensor) -> float:
        """Compute the share of right pixels, without void.

        Args:
            label: Classes `(H, W)`.

        Returns:
            Accuracy in [0, 1]; NaN if all pixels are void.
        """
        return (label == self.truth)[self.truth != IGNORE].float().mean().item()

    def changes(self) -> dict[str, Tensor]:
        """Find the changed pixels, without void, by the effect of the change.

        Returns:
            Masks `(H, W)`, bool: "fixed", "broken", and "still wrong" in another class.
        """
        changed = (self.before != self.after) & (self.truth != IGNORE)
        fixed = changed & (self.after == self.truth)
        broken = changed & (self.before == self.truth)
        still_wrong = changed & ~fixed & ~broken
        return {"fixed": fixed, "broken": broken, "still wrong": still_wrong}

    def shrunk(self, longest: int) -> "Example":
        """Shrink the example for display, with compact types.

        Args:
            longest: Largest length of a side in pixels.
        """
        scale = min(1.0, longest / max(self.truth.shape))
        size = tuple(max(1, round(scale * side)) for side in self.truth.shape)
        image = F.interpolate(self.image[None].float(), size, mode="bilinear", antialias=True)
        return replace(
            self,
            image=image[0].round().to(torch.uint8),
            truth=_sampled(self.truth, size).to(torch.uint8),
            before=_sampled(self.before, size).to(torch.uint8),
            after=_sampled(self.after, size).to(torch.uint8),
            confidence=_sampled(self.confidence, size).half(),
        )


@dataclass(frozen=True)
class ImageFigures:
    """Figures of the labels of one image, without void; shares are in [0, 1].

    Args:
        number: Position in the split.
        name: Name of the image.
        void: Share of void pixels.
        accuracy: Pixel accuracy for each stage of an `Evaluation`.
        miou: Mean IoU for each stage.
        boundary_f: Mean boundary F-score for each stage.
        confidence: Mean confidence at the last stage, with void.
        fixed: Number of wrong pixels that correction made right.
        broken: Number of right pixels that correction made wrong.
        still_wrong: Number of pixels that it changed from one wrong class to another.
    """

    number: int
    name: str
    void: float
    accuracy: tuple[float, ...]
    miou: tuple[float, ...]
    boundary_f: tuple[float, ...]
    confidence: float
    fixed: int
    broken: int
    still_wrong: int


@dataclass(frozen=True)
class Evaluation:
    """Results of `evaluate` on a whole split.

    Args:
        stages: Metrics by stage: before and after correction, or one stage without correction.
        images: Figures of each image, in the order of the split.
        examples: Selected examples and their figures.
    """

    stages: dict[str, Scores]
    images: list[ImageFigures]
    examples: list[tuple[ImageFigures, Example]]


def _sampled(map_: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(map_[None, None].float(), size, mode="nearest-exact")[0, 0].cpu()
