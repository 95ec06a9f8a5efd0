"""Feature maps to graph nodes, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

Maps = Tensor | Sequence[Tensor]


def maps_to_nodes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Convert a batch of maps to nodes, one per pixel.

    Args:
        maps: `(B, D, h, w)`.

    Returns:
        x: node features `(B*h*w, D)`, row by row, image after image.
        batch: image of each node `(B*h*w,)`.

    Raises:
        ValueError: if `maps` does not have four dimensions.

    >>> x, batch = maps_to_nodes(torch.arange(12).view(1, 2, 2, 3))
    >>> x[:2].tolist()
    [[0, 6], [1, 7]]
    """
    if maps.dim() != 4:
        raise ValueError(f"expected maps (B, D, h, w), got shape {tuple(maps.shape)}")
    size, _, height, width = maps.shape
    x = maps.permute(0, 2, 3, 1).flatten(0, 2)  # (B, D, h, w) -> (B*h*w, D)
    batch = torch.arange(size, device=maps.device).repeat_interleave(height * width)
    return x, batch


def nodes_to_maps(x: Tensor, height: int, width: int) -> Tensor:
    """Convert nodes back to maps: the inverse of `maps_to_nodes`.

    Args:
        x: node features `(B*h*w, D)`.
        height: h, in pixels.
        width: w, in pixels.

    Returns:
        Maps `(B, D, h, w)`.

    Raises:
        ValueError: if the number of nodes is no multiple of h * w.
    """
    if x.dim() != 2 or min(height, width) < 1 or x.size(0) % (height * width):
        raise ValueError(
            f"expected nodes (B*{height}*{width}, D) for maps of {height}x{width}, "
            f"got shape {tuple(x.shape)}"
        )
    maps: Tensor = x.unflatten(0, (-1, height, width))  # (B*h*w, D) -> (B, h, w, D)
    return maps.permute(0, 3, 1, 2)


def pixel_positions(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return row and column of each pixel of a map, row by row.

    Args:
        height: h, in pixels.
        width: w, in pixels.
        device: device of the result; torch's default if None.

    Returns:
        `(h * w, 2)`, int64.
    """
    row, column = torch.arange(height, device=device), torch.arange(width, device=device)
    grid = row[:, None].expand(height, width), column.expand(height, width)
    return torch.stack(grid, dim=2).flatten(0, 1)


def pixel_batch(features: Maps, **values: Maps) -> Batch:
    """Convert maps of equal or different sizes to a PyG batch: one graph per image, without edges.

    Args:
        features: `(B, D, h, w)`, or B maps `(D, h_i, w_i)`.
        **values: further maps of the same sizes, stored under their names: `(B, C, h, w)` such as
            logits, `(B, h, w)` such as labels, or sequences of such maps without B.

    Returns:
        A `Batch` with `x (N, D)`, `pos (N, 2)` (row and column), `batch (N,)`, `ptr (B + 1,)`,
        `map_size (B, 2)` (h and w), and the further values `(N, C)` or `(N,)`. `batch_to_maps`
        converts them back.

    Raises:
        ValueError: if a map has the wrong rank, sizes differ between features and values, or PyG
            uses the name of a value: `x`, `pos`, `ptr`, `map_size`, `num_nodes`, or any that
            contains `index`, `batch` or `face`.

    >>> batch = pixel_batch(torch.rand(2, 8, 3, 4), label=torch.zeros(2, 3, 4).long())
    >>> batch
    DataBatch(x=[24, 8], pos=[24, 2], map_size=[2, 2], label=[24], batch=[24], ptr=[3])
    """
    _check_names(values)
    if not len(features):
        raise ValueError("expected at least one map, got none")
    graphs = []
    for i, map_ in enumerate(features):
        if map_.dim() != 3:
            raise ValueError(
                "expected features (B, D, h, w) or a list of maps (D, h, w), "
                f"got maps of shape {tuple(map_.shape)}; features[None] makes a batch of one map"
            )
        if len(map_) != len(features[0]):
            raise ValueError(
                f"expected maps of one number of channels, got {len(features[0])} and {len(map_)}"
            )
        height, width = map_.shape[-2:]
        pos = pixel_positions(height, width, map_.device)
        graph = Data(x=_flat(map_), pos=pos, map_size=pos.new_tensor([[height, width]]))
        for name, maps in values.items():
            if len(maps) != len(features):
                raise ValueError(f"expected {name} for {len(features)} images, got {len(maps)}")
            shape = tuple(maps[i].shape)
            if shape[-2:] != (height, width) or len(shape) > 3:
                raise ValueError(
                    f"expected {name} of image {i} to be ({height}, {width}) or "
                    f"(C, {height}, {width}), got {shape}"
                )
            graph[name] = _flat(maps[i])
        graphs.append(graph)
    return Batch.from_data_list(graphs)


def batch_to_maps(value: Tensor, batch: Batch) -> list[Tensor]:
    """Convert node values to one map per image: the inverse of `pixel_batch`.

    Args:
        value: `(N, C)` or `(N,)`.
        batch: output of `pixel_batch`; only `map_size` is used.

    Returns:
        B maps `(C, h_i, w_i)` or `(h_i, w_i)`; `torch.stack` joins maps of equal sizes.

    Raises:
        ValueError: if there is not one value per pixel of all maps.

    >>> maps = torch.rand(2, 8, 3, 4)
    >>> batch = pixel_batch(maps)
    >>> torch.equal(torch.stack(batch_to_maps(batch.x, batch)), maps)
    True
    """
    sizes = batch.map_size.tolist()
    pixels = [height * width for height, width in sizes]
    if len(value) != sum(pixels):
        raise ValueError(
            f"expected one value for each of the {sum(pixels)} pixels, got {len(value)}; "
            "knn_interpolate extends values of sampled nodes to all"
        )
    return [
        part.T.unflatten(-1, size) if part.dim() == 2 else part.unflatten(0, size)
        for part, size in zip(value.split(pixels), sizes, strict=True)
    ]


def _check_names(values: dict[str, Maps]) -> None:
    for name in values:
        reserved = name in ("x", "pos", "ptr", "map_size", "num_nodes")
        if reserved or any(part in name for part in ("index", "batch", "face")):
            raise ValueError(f"expected another name than {name!r}, which PyG gives a meaning")


def _flat(map_: Tensor) -> Tensor:
    return map_.flatten(1).T if map_.dim() == 3 else map_.flatten()  # (D, h, w) -> (h*w, D)
