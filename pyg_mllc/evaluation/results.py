"""What trainings and evaluations leave behind: curves, figures, and images worth a look."""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mllc.metrics.segmentation import Scores
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.io import whole_file
from pyg_mllc.utils.provenance import Provenance


@dataclass(frozen=True)
class TrainingResult:
    """One trained method: its curves and its results on the validation split.

    Args:
        name: what tables and legends call it.
        history: rows with `"step"` and whatever was logged then: losses, `"trusted"`, `"miou"` of
            the student, `"teacher_miou"`, and of the teacher's labels before correction and after
            round r `"label_accuracy_0"`, ..., `"label_accuracy_r"`, `"label_miou_r"` likewise;
            shares lie in 0..1.
        class_iou: per class at the last validation, 0..1; NaN where absent, empty if unknown.
        label_accuracy: of the teacher's labels on the validation split, before correction and
            after each round, 0..1.
        label_miou: likewise.
        seconds: training time, validation included; of all parts, if the run was resumed.
        step_seconds: median time of a training step, loading included; NaN for a single step.
        peak_mb: most memory that the process ever had resident.
        provenance: of each part of the run, see `pyg_mllc.utils.provenance`; empty if unknown.
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
        """Student's mIoU at the last validation, 0..1; NaN if never validated."""
        return (self.curve("miou") or [(0.0, math.nan)])[-1][1]

    @property
    def best_miou(self) -> float:
        """Student's highest mIoU, 0..1; NaN if never validated."""
        return max((miou for _, miou in self.curve("miou")), default=math.nan)

    @property
    def best_step(self) -> int | None:
        """Step at which the highest mIoU was first reached; None if never validated."""
        return next((int(step) for step, v in self.curve("miou") if v == self.best_miou), None)

    def save(self, path: Path) -> None:
        """Write all figures as JSON, NaN as null; the file replaces `path` once it is whole."""
        best = {"last_miou": self.last_miou, "best_miou": self.best_miou}
        figures = asdict(self) | best | {"best_step": self.best_step}
        with whole_file(path) as file:
            file.write(json.dumps(_without_nan(figures), indent=1, allow_nan=False).encode())

    @classmethod
    def load(cls, path: Path) -> "TrainingResult":
        """Read what `save` wrote."""
        figures = json.loads(path.read_text())
        names = {part.name for part in fields(cls)} & figures.keys()
        return cls(**{name: _with_nan(figures[name]) for name in names})

    def curve(self, key: str) -> list[tuple[float, float]]:
        """List (step, value) wherever `key` was logged as a number."""
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
    """One validation image seen by the corrector.

    Args:
        name: its caption.
        image: `(3, H, W)` uint8.
        truth: `(H, W)` class numbers, IGNORE where void.
        before: `(H, W)`, the teacher's label before correction.
        after: `(H, W)`, after the last round.
        confidence: `(H, W)` in 0..1, of the label after correction.
    """

    name: str
    image: Tensor
    truth: Tensor
    before: Tensor
    after: Tensor
    confidence: Tensor

    def accuracy(self, label: Tensor) -> float:
        """Give the share of pixels, void aside, where `label` is right; NaN if all are void."""
        return (label == self.truth)[self.truth != IGNORE].float().mean().item()

    def changes(self) -> dict[str, Tensor]:
        """Sort the changed pixels, void aside, by what became of them: `(H, W)` bool each."""
        changed = (self.before != self.after) & (self.truth != IGNORE)
        mended = changed & (self.after == self.truth)
        spoiled = changed & (self.before == self.truth)
        still_wrong = changed & ~mended & ~spoiled
        return {"mended": mended, "spoiled": spoiled, "still wrong": still_wrong}

    def shrunk(self, longest: int) -> "Example":
        """Give it with sides of at most `longest` pixels, in few bytes, to look at."""
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
    """What became of the labels of one image; shares lie in 0..1, void does not count.

    Args:
        number: place in the split.
        name: of the image.
        void: share of its pixels.
        accuracy: share of the pixels that are right, for each stage of an `Evaluation`.
        miou: likewise.
        boundary_f: likewise.
        confidence: mean at the last stage, void included.
        mended: pixels that the correction mended.
        spoiled: pixels that it spoiled.
        still_wrong: pixels that it changed from one wrong class to another.
    """

    number: int
    name: str
    void: float
    accuracy: tuple[float, ...]
    miou: tuple[float, ...]
    boundary_f: tuple[float, ...]
    confidence: float
    mended: int
    spoiled: int
    still_wrong: int


@dataclass(frozen=True)
class Evaluation:
    """How good labels are on a whole split.

    Args:
        stages: scores of `SegmentationMetrics` by stage: before and after correction, or of the
            labels alone where nothing corrects them.
        images: figures of each image, in the order of the split.
        examples: some images to look at, with their figures.
    """

    stages: dict[str, Scores]
    images: list[ImageFigures]
    examples: list[tuple[ImageFigures, Example]]


def _sampled(map_: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(map_[None, None].float(), size, mode="nearest-exact")[0, 0].cpu()
