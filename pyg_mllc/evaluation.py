"""Measure a whole split, and predict large images in windows."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pyg_mllc.data import IGNORE, OwnSizes, SampleSet, eval_loader
from pyg_mllc.data.samples import check_count
from pyg_mllc.errors import InputError
from pyg_mllc.losses import at_least_float32, upsample
from pyg_mllc.measures import Measures
from pyg_mllc.nn import Prediction
from pyg_mllc.results import Evaluation, Example, ImageFigures
from pyg_mllc.showcase import Showcase

STAGES = ("before correction", "after correction")


def sliding_window(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    window: tuple[int, int],
    overlap: float = 0.5,
) -> Tensor:
    """Predict windows of large images, and average where they overlap.

    Args:
        predict: gives maps `(B, C, h, w)`, of the size of the views `(B, 3, h, w)` that it gets.
        images: `(B, 3, H, W)`.
        window: height and width (h, w); images that are smaller are taken whole.
        overlap: share of a window that its neighbor covers, too, in [0, 1).

    Returns:
        `(B, C, H, W)`.

    >>> sliding_window(lambda view: view[:, :1] * 2, torch.ones(1, 3, 50, 70), (32, 32)).unique()
    tensor([2.])
    """
    size = images.shape[-2:]
    h, w = (min(wanted, there) for wanted, there in zip(window, size, strict=True))
    total: Tensor | None = None
    count = images.new_zeros(1, 1, *size)
    for top in _starts(size[0], h, overlap):
        for left in _starts(size[1], w, overlap):
            place = (..., slice(top, top + h), slice(left, left + w))
            part = predict(images[place])
            if total is None:
                total = part.new_zeros(*part.shape[:2], *size)
            total[place] += part
            count[place] += 1
    assert total is not None
    return total / count


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """Where windows start, evenly spaced from one edge to the other."""
    steps = math.ceil((length - window) / max(int(window * (1 - overlap)), 1))
    return [round(i * (length - window) / max(steps, 1)) for i in range(steps + 1)]


def full_size(
    teach: Callable[[Tensor], list[Prediction]], window: tuple[int, int] | None = None
) -> Callable[[Tensor], list[Tensor]]:
    """Make of a network what `evaluate` takes: probabilities at the size of the images.

    Args:
        teach: images `(B, 3, H, W)` in [0, 1] to predictions, one after each round.
        window: height and width of a sliding window; by default the whole image at once.
    """
    counts: list[int] = []

    def beliefs(view: Tensor) -> Tensor:
        history = teach(view)
        counts[:] = [len(history)]
        return torch.cat(
            [upsample(at_least_float32(p.logits), view.shape[-2:]) for p in history], 1
        )

    def predict(images: Tensor) -> list[Tensor]:
        found = beliefs(images) if window is None else sliding_window(beliefs, images, window)
        return [logits.softmax(1) for logits in found.chunk(counts[0], 1)]

    return predict


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
    """Measure labels before and after correction over a whole split, image by image.

    Memory does not grow with the pixels of the split: a row of figures per image is kept, and the
    pictures of `gallery` images.

    Args:
        predict: images `(B, 3, H, W)` in [0, 1] to probabilities `(B, C, H, W)`, before correction
            and after each round; only one where nothing corrects.
        samples: images with labels.
        batch_size: images at once.
        workers: processes that load images; with 0, the main process loads.
        gallery: pictures to keep of the images most worth a look, see `Showcase`.
        device: of the network.
        advance: is told, after each batch, how many images are done since.

    Raises:
        InputError: if there are no images, or a number is out of range.
    """
    check_count("gallery", gallery, 1)
    if not len(samples):
        raise InputError("there are no images with labels to evaluate on")
    totals: list[Measures] = []
    rows: list[ImageFigures] = []
    showcase = Showcase(gallery, len(samples))
    loader = eval_loader(samples, batch_size, workers, shared=False)
    for batch in loader:
        history = predict(batch["image"].to(device) / 255)
        stages = torch.stack([history[0], history[-1]][: len(history)], 1)
        for i, belief in enumerate(stages.float().cpu()):  # (stages, C, H, W)
            name, image, truth = (batch[part][i] for part in ("name", "image", "label"))
            if not isinstance(samples, OwnSizes):  # which pads nothing
                h, w = _without_padding(image, truth)
                image, truth, belief = (part[..., :h, :w] for part in (image, truth, belief))
            found = [Measures.of(b, truth) for b in belief]
            totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
            confidence, after = belief[-1].max(0)
            example = Example(name, image, truth, belief[0].argmax(0), after, confidence)
            rows.append(_figures(len(rows), example, found))
            showcase.add(rows[-1], example)
        advance(len(stages))
    names = STAGES if len(totals) > 1 else ("labels",)
    return Evaluation(dict(zip(names, totals, strict=True)), rows, showcase.examples)


def _without_padding(image: Tensor, truth: Tensor) -> tuple[int, int]:
    """Height and width of what is no padding at the right or the bottom: black, without label."""
    there = image.any(0) | (truth != IGNORE)
    if not there.any():
        return truth.size(0), truth.size(1)
    return int(there.any(1).nonzero()[-1]) + 1, int(there.any(0).nonzero()[-1]) + 1


def _figures(number: int, example: Example, found: list[Measures]) -> ImageFigures:
    """The row of one image."""
    changed = {kind.replace(" ", "_"): int(m.sum()) for kind, m in example.changes().items()}
    return ImageFigures(
        number=number,
        name=example.name,
        void=float((example.truth == IGNORE).float().mean()),
        accuracy=tuple(m.accuracy for m in found),
        miou=tuple(m.miou for m in found),
        boundary_f=tuple(m.boundary_f for m in found),
        confidence=float(example.confidence.mean()),
        **changed,
    )
