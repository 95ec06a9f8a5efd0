"""Conversion of logits and features between maps and nodes."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor
from torch_geometric.data import Batch

from graphs import batch_to_maps, maps_to_nodes, nodes_to_maps, pixel_batch
from graphs.maps import Maps, pixel_positions
from pyg_mllc.nn.prediction import Prediction


class Nodes(NamedTuple):
    """Logits and features as nodes of one graph, for correction."""

    original: Prediction  # in the form of the input
    z: Tensor  # (N, C), logits
    f: Tensor  # (N, D), features
    graph_features: Tensor | None  # (N, D'), that nodes are compared by, if not by f
    batch: Tensor  # (N,), image of each node
    pos: Tensor | None  # (N, 2), row and column of each node, where nodes are pixels
    num_images: int
    restore: Callable[[Tensor], Tensor]  # node values in the form of the input


def pixel_nodes(
    logits: Maps | Batch, features: Maps | None, graph_features: Maps | None = None
) -> Nodes:
    """Convert logits and features to nodes, one per pixel.

    Args:
        logits: `(B, C, h, w)`; B maps `(C, h_i, w_i)` of different sizes; or a `Batch` with node
            values `logits (N, C)` and `x (N, D)`.
        features: `(B, D, h, w)`, or B maps; not with a `Batch`.
        graph_features: `(B, D', h, w)`, or B maps, or `(N, D')` with a `Batch`.

    Returns:
        Nodes of one graph for all images.

    Raises:
        ValueError: if the forms or sizes of the three do not fit each other.
    """
    if isinstance(logits, Batch):
        if features is not None:
            raise ValueError("expected no features beside a Batch, which carries its own as x")
        return _graph_nodes(logits, cast(Tensor | None, graph_features))
    if features is None:
        raise ValueError("expected features beside logits, got none")
    original = Prediction(cast(Tensor, logits), cast(Tensor, features))
    if not isinstance(logits, Tensor):
        more = {} if graph_features is None else {"graph_features": graph_features}
        pixels = pixel_batch(features, logits=logits, **more)
        restore = cast(Callable[[Tensor], Tensor], partial(batch_to_maps, batch=pixels))
        return _graph_nodes(pixels, pixels.get("graph_features"))._replace(
            original=original, restore=restore
        )
    f, batch = maps_to_nodes(_fitting(features, "features", logits))
    compared = None
    if graph_features is not None:
        compared, _ = maps_to_nodes(_fitting(graph_features, "graph_features", logits))
    height, width = logits.shape[-2:]
    pos = pixel_positions(height, width, logits.device).repeat(len(logits), 1)
    restore = partial(nodes_to_maps, height=height, width=width)
    z = maps_to_nodes(logits)[0]
    return Nodes(original, z, f, compared, batch, pos, len(logits), restore)


def _graph_nodes(batch: Batch, graph_features: Tensor | None) -> Nodes:
    """Return the nodes of a PyG batch."""
    if "logits" not in batch or "x" not in batch:
        raise ValueError(
            f"expected a Batch with node values logits (N, C) and x (N, D), got {batch}"
        )
    z, f = batch.logits, batch.x
    # Only of `pixel_batch` are positions known to be rows and columns.
    pos = batch.pos if "map_size" in batch else None
    original, images = Prediction(z, f), batch.num_graphs
    return Nodes(original, z, f, graph_features, batch.batch, pos, images, lambda value: value)


def _fitting(maps: Maps, name: str, logits: Tensor) -> Tensor:
    if not isinstance(maps, Tensor) or logits.dim() != 4 or maps.dim() != 4:
        form = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(
            f"expected logits (B, C, h, w) and {name} (B, D, h, w), "
            f"got {tuple(logits.shape)} and {form}"
        )
    if (len(logits), *logits.shape[-2:]) != (len(maps), *maps.shape[-2:]):
        raise ValueError(
            f"expected logits and {name} of the same images and size, got "
            f"{tuple(logits.shape)} and {tuple(maps.shape)}; resize one to the other"
        )
    return maps
