"""Logits and features in any form, as nodes, and the way back."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor
from torch_geometric.data import Batch

from graphs import batch_to_maps, maps_to_nodes, nodes_to_maps, pixel_batch
from graphs.maps import Maps, pixel_positions
from pyg_mllc.nn.prediction import Prediction


class Nodes(NamedTuple):
    """What correction works on."""

    given: Prediction  # in its own form
    z: Tensor  # (N, C), logits
    f: Tensor  # (N, D), features
    look: Tensor | None  # (N, D'), by which nodes are found to look alike, if not by the features
    batch: Tensor  # (N,), image of each node
    pos: Tensor | None  # (N, 2), row and column of each node, where nodes are pixels
    images: int
    back: Callable[[Tensor], Any]  # node values in the form given


def pixel_nodes(
    logits: Maps | Batch, features: Maps | None, graph_features: Maps | None = None
) -> Nodes:
    """Give every pixel a node.

    Args:
        logits: `(B, C, h, w)`; B maps `(C, h_i, w_i)` of different sizes; or a `Batch` with node
            values `logits (N, C)` and `x (N, D)`.
        features: `(B, D, h, w)`, or B maps; not with a `Batch`.
        graph_features: `(B, D', h, w)`, or B maps, or `(N, D')` with a `Batch`.

    Raises:
        ValueError: if the forms or sizes of the three do not fit each other.
    """
    if isinstance(logits, Batch):
        if features is not None:
            raise ValueError("expected no features beside a Batch, which carries its own as x")
        if "logits" not in logits or "x" not in logits:
            raise ValueError(
                f"expected a Batch with node values logits (N, C) and x (N, D), got {logits}"
            )
        look: Any = graph_features
        z, f = logits.logits, logits.x
        images = logits.num_graphs
        # Only of `pixel_batch` are positions known to be rows and columns.
        pos = logits.pos if "map_size" in logits else None
        return Nodes(Prediction(z, f), z, f, look, logits.batch, pos, images, lambda value: value)
    if features is None:
        raise ValueError("expected features beside logits, got none")
    given = Prediction(logits, features)  # type: ignore[arg-type]
    if not isinstance(logits, Tensor):
        more = {} if graph_features is None else {"graph_features": graph_features}
        pixels = pixel_batch(features, logits=logits, **more)
        back: Any = partial(batch_to_maps, batch=pixels)
        look = pixels.get("graph_features")
        return Nodes(
            given, pixels.logits, pixels.x, look, pixels.batch, pixels.pos, len(logits), back
        )
    f, batch = maps_to_nodes(_fitting(features, "features", logits))
    look = None
    if graph_features is not None:
        look, _ = maps_to_nodes(_fitting(graph_features, "graph_features", logits))
    height, width = logits.shape[-2:]
    pos = pixel_positions(height, width, logits.device).repeat(len(logits), 1)
    back = partial(nodes_to_maps, height=height, width=width)
    return Nodes(given, maps_to_nodes(logits)[0], f, look, batch, pos, len(logits), back)


def _fitting(maps: Maps, name: str, logits: Tensor) -> Tensor:
    if not isinstance(maps, Tensor) or logits.dim() != 4 or maps.dim() != 4:
        given = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(
            f"expected logits (B, C, h, w) and {name} (B, D, h, w), "
            f"got {tuple(logits.shape)} and {given}"
        )
    if (len(logits), *logits.shape[-2:]) != (len(maps), *maps.shape[-2:]):
        raise ValueError(
            f"expected logits and {name} of the same images and size, got "
            f"{tuple(logits.shape)} and {tuple(maps.shape)}; resize one to the other"
        )
    return maps
