"""Data of the report's gallery, with images as data URIs."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from pyg_mllc.evaluation.example_selector import REASONS
from pyg_mllc.evaluation.results import Example, ImageFigures
from pyg_mllc.visualization.examples import CHANGES, CONFIDENCE, Color, draw_label
from pyg_mllc.visualization.report.tables import image_row

LEVELS = 16  # levels of confidence; few levels compress well


def gallery(
    examples: Sequence[tuple[ImageFigures, Example]], colors: Sequence[Color]
) -> dict[str, Any]:
    """Build the gallery's data: images as data URIs, and orders to show them in.

    Args:
        examples: Examples of an `Evaluation`.
        colors: Colors of the C classes.

    Returns:
        "orders" and "cards", for JSON.
    """
    rated = [figures for figures, _ in examples]
    orders = [(name, _order(rated, reason)) for name, reason in REASONS.items()]
    if examples and len(examples[0][0].accuracy) == 1:  # without correction, nothing is fixed
        orders = orders[:1]
    orders.append(("in the split's order", list(range(len(examples)))))
    cards = [
        {
            "number": figures.number,
            "height": example.truth.size(0),
            "width": example.truth.size(1),
            "figures": {name: _plain(value) for name, value in image_row(figures).items()},
            "pictures": _pictures(example, colors),
        }
        for figures, example in examples
    ]
    return {"orders": orders, "cards": cards}


def images_table(images: Sequence[ImageFigures]) -> dict[str, Any]:
    """Build the table of all images.

    Args:
        images: Figures of the images, at least one.

    Returns:
        "columns" and "rows", for JSON.
    """
    rows = [image_row(figures) for figures in images]
    kinds = {str: "text", float: "share", int: "count"}
    columns = [{"name": name, "kind": kinds[type(value)]} for name, value in rows[0].items()]
    return {"columns": columns, "rows": [[_plain(v) for v in row.values()] for row in rows]}


def data_uri(picture: NDArray[np.uint8] | Figure, kind: str = "png") -> str:
    """Encode an image or a figure as a data URI.

    Args:
        picture: Image `(H, W, 3 or 4)` or figure. PNG stores up to 256 colors as a palette.
        kind: `png` or `jpeg`.
    """
    buffer = BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format=kind)
    elif kind == "jpeg":
        Image.fromarray(picture).save(buffer, kind, quality=85)
    else:
        _with_palette(picture).save(buffer, kind, optimize=True)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"


def _order(rated: list[ImageFigures], reason: Callable[[ImageFigures], float]) -> list[int]:
    """Return positions sorted by a figure, the lowest first and images of void alone last."""
    return sorted(range(len(rated)), key=lambda i: (rated[i].void == 1, reason(rated[i])))


def _plain(value: float | str) -> float | str | None:
    """Return the value for JSON: NaN becomes None."""
    return None if value != value else value


def _pictures(example: Example, colors: Sequence[Color]) -> dict[str, str]:
    confidence = example.confidence.float().numpy()
    steps = np.minimum((confidence * LEVELS).astype(int), LEVELS - 1) / (LEVELS - 1)
    changes = np.zeros((*example.truth.shape, 4), np.uint8)
    for kind, mask in example.changes().items():
        changes[mask.numpy()] = (*CHANGES[kind], 255)
    labels = {"truth": example.truth, "before": example.before, "after": example.after}
    return {
        "image": data_uri(example.image.permute(1, 2, 0).contiguous().numpy(), "jpeg"),
        **{name: data_uri(draw_label(label, colors)) for name, label in labels.items()},
        "changes": data_uri(changes),
        "confidence": data_uri(CONFIDENCE(steps, bytes=True)[..., :3]),
    }


def _with_palette(picture: NDArray[np.uint8]) -> Image.Image:
    """Convert to a palette image if 256 colors suffice."""
    height, width, channels = picture.shape
    packed = np.zeros((height, width, 4), np.uint8)
    packed[..., :channels] = picture
    unique, index = np.unique(packed.view(np.uint32), return_inverse=True)
    if len(unique) > 256:
        return Image.fromarray(picture)
    palette = unique.view(np.uint8).reshape(-1, 4)
    image = Image.fromarray(index.reshape(height, width).astype(np.uint8), "P")
    image.putpalette(palette[:, :3].tobytes())
    if channels == 4:
        image.info["transparency"] = palette[:, 3].tobytes()
    return image
