"""Evaluate labels before and after correction over a whole split."""

from collections.abc import Callable

import torch
from torch import Tensor

from pyg_mllc.data import OriginalSizeDataset, SampleSet, eval_loader, to_float
from pyg_mllc.errors import InputError
from pyg_mllc.evaluation.example_selector import ExampleSelector
from pyg_mllc.evaluation.results import Evaluation, Example, ImageFigures
from pyg_mllc.metrics.segmentation import SegmentationMetrics
from pyg_mllc.typing import IGNORE, Scores
from pyg_mllc.utils.validation import check_count

STAGES = ("before correction", "after correction")


@torch.no_grad()
def evaluate(
    predict: Callable[[Tensor], list[Tensor]],
    samples: SampleSet,
    batch_size: int = 1,
    workers: int = 0,
    gallery: int = 60,
    device: torch.device | str = "cpu",
    advance: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Evaluate labels before and after correction over a whole split, image by image.

    Memory is bounded: one row of figures per image is kept, and `gallery` examples.

    Args:
        predict: Maps images `(B, 3, H, W)` in [0, 1] to probabilities `(B, C, H, W)` before
            correction and after each round; a single one without correction.
        samples: Images with labels.
        batch_size: Images per batch B.
        workers: Number of loading processes; 0 loads in the calling process.
        gallery: Largest number of examples to keep, see `ExampleSelector`.
        device: Device of the network.
        advance: Progress callback, called after each batch with its number of images.

    Returns:
        Results of the stages and of each image, and examples.

    Raises:
        InputError: If there are no images, or a number is out of range.
    """
    check_count("gallery", gallery, 1)
    if not len(samples):
        raise InputError("there are no images with labels to evaluate on")
    rows: list[ImageFigures] = []
    selector = ExampleSelector(gallery, len(samples))
    metrics: list[SegmentationMetrics] = []
    loader = eval_loader(samples, batch_size, workers, shared=False)
    for batch in loader:
        history = predict(to_float(batch["image"].to(device)))
        stages = torch.stack([history[0], history[-1]][: len(history)], 1)
        metrics = metrics or [
            SegmentationMetrics(
                stages.size(2),
                boundary=True,
                calibration=True,
                sync_on_compute=False,  # a single process evaluates
            )
            for _ in range(stages.size(1))
        ]
        for i, steps in enumerate(stages.float().cpu()):  # (stages, C, H, W)
            name, image, truth = (batch[part][i] for part in ("name", "image", "label"))
            if not isinstance(samples, OriginalSizeDataset):  # which pads nothing
                h, w = _without_padding(image, truth)
                image, truth, steps = (part[..., :h, :w] for part in (image, truth, steps))
            scores = [  # of this image, which the metrics add to their totals
                metric(probabilities[None], truth[None])
                for metric, probabilities in zip(metrics, steps, strict=True)
            ]
            confidence, after = steps[-1].max(0)
            example = Example(name, image, truth, steps[0].argmax(0), after, confidence)
            rows.append(_figures(len(rows), example, scores))
            selector.add(rows[-1], example)
        advance(len(stages))
    names = STAGES if len(metrics) > 1 else ("labels",)
    totals = {name: m.compute() for name, m in zip(names, metrics, strict=True)}
    return Evaluation(totals, rows, selector.examples)


def _without_padding(image: Tensor, truth: Tensor) -> tuple[int, int]:
    """Return height and width without the padding at the right or the bottom, black and void."""
    inside = image.any(0) | (truth != IGNORE)
    if not inside.any():
        return truth.size(0), truth.size(1)
    return int(inside.any(1).nonzero()[-1]) + 1, int(inside.any(0).nonzero()[-1]) + 1


def _figures(number: int, example: Example, scores: list[Scores]) -> ImageFigures:
    """Compute the row of figures of an image."""
    changed = {kind.replace(" ", "_"): int(m.sum()) for kind, m in example.changes().items()}
    return ImageFigures(
        number=number,
        name=example.name,
        void=float((example.truth == IGNORE).float().mean()),
        accuracy=tuple(float(stage["accuracy"]) for stage in scores),
        miou=tuple(float(stage["miou"]) for stage in scores),
        boundary_f=tuple(float(stage["boundary_f"]) for stage in scores),
        confidence=float(example.confidence.mean()),
        **changed,
    )
