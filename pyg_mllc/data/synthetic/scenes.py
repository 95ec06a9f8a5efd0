"""Draw scenes of irregular regions, each filled with a patch of one photograph."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor


def smooth_fields(rng: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Draw two smooth random fields.

    Args:
        rng: Source of randomness.
        size: Height and width (H, W).
        cells: Approximate number of bumps along the short side.

    Returns:
        Values of about unit variance, float32 (2, H, W).
    """
    step = min(size) / cells
    coarse = [math.ceil(side / step) + 2 for side in size]
    values = torch.from_numpy(rng.standard_normal((1, 2, *coarse), dtype=np.float32))
    return F.interpolate(values, size=size, mode="bicubic")[0].numpy()


def draw_sites(rng: np.random.Generator, points: np.ndarray, count: int) -> np.ndarray:
    """Draw points with some distance, each the farthest of five candidates.

    Args:
        rng: Source of randomness.
        points: Coordinates to draw from, (2, P).
        count: Number of sites R.

    Returns:
        Coordinates (2, R).
    """
    sites = points[:, rng.integers(points.shape[1], size=1)]
    for _ in range(count - 1):
        candidates = points[:, rng.integers(points.shape[1], size=5)]
        gaps = np.hypot(*(candidates[:, :, None] - sites[:, None])).min(axis=1)
        sites = np.concatenate([sites, candidates[:, [gaps.argmax()]]], axis=1)
    return sites


def draw_regions(rng: np.random.Generator, count: int, size: tuple[int, int]) -> np.ndarray:
    r"""Draw a partition of the image into regions of varied size with wavy borders.

    The region of pixel :math:`p` is :math:`\arg\min_r \|q(p) - q(s_r)\| - w_r`, where :math:`q`
    adds smooth random fields to the coordinates and :math:`s_r` is the pixel of site r. The head
    starts :math:`w_r` are smaller than the distance of any two sites: every site has its region.

    Args:
        rng: Source of randomness.
        count: Number of regions R.
        size: Height and width (H, W).

    Returns:
        Region of each pixel, 0 to ``count - 1``, int64 (H, W).
    """
    where = np.indices(size).astype(np.float32) / min(size)
    where += 0.12 * smooth_fields(rng, size, cells=3) + 0.025 * smooth_fields(rng, size, cells=10)
    sites = draw_sites(rng, where.reshape(2, -1), count)  # (2, H, W) -> (2, HW)
    apart = np.hypot(*(sites[:, :, None] - sites[:, None])) + np.diag(np.full(count, np.inf))
    head_starts = rng.uniform(0, 0.95 * min(apart.min(), 1), size=count).astype(np.float32)
    scores = [
        np.sqrt((where[0] - row) ** 2 + (where[1] - column) ** 2) - start
        for row, column, start in zip(*sites, head_starts, strict=True)
    ]
    return np.argmin(scores, axis=0)


def draw_patch(
    rng: np.random.Generator, images: tuple[Tensor, Tensor], rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Sample pixels of a photograph, randomly placed, rotated, mirrored and scaled 0.5 to 2 times.

    Beyond its borders the photograph is continued as its mirror image.

    Args:
        rng: Source of randomness.
        images: The photograph at its own and at half its scale, (1, 3, h, w).
        rows: Rows of the P pixels.
        columns: Their columns.

    Returns:
        Colors, float32 (P, 3).
    """
    scale = 2 ** rng.uniform(-1, 1)
    angle = rng.uniform(0, 2 * math.pi)
    mirror = rng.choice([-1, 1])
    # The smaller image stands in for the low-pass filter that shrinking needs.
    shrink = scale < math.sqrt(0.5)
    image = images[1] if shrink else images[0]
    step = (0.5 if shrink else 1.0) / scale
    y, x = (rows - rows.mean()) * step, (columns - columns.mean()) * step * mirror
    height, width = image.shape[-2:]
    at_y = math.sin(angle) * x + math.cos(angle) * y + rng.uniform(0, height)
    at_x = math.cos(angle) * x - math.sin(angle) * y + rng.uniform(0, width)
    grid = np.stack([2 * at_x / (width - 1) - 1, 2 * at_y / (height - 1) - 1], axis=-1)
    colors = F.grid_sample(
        image,
        torch.from_numpy(grid.astype(np.float32))[None, None],
        padding_mode="reflection",
        align_corners=True,
    )
    return colors[0, :, 0].T.numpy()  # (1, 3, 1, P) -> (P, 3)


def relight(rng: np.random.Generator, colors: np.ndarray) -> np.ndarray:
    """Change saturation, gamma, brightness and tint, so that color alone does not tell the class.

    Args:
        rng: Source of randomness.
        colors: Values 0-1, (P, 3).

    Returns:
        Values, not clipped, (P, 3).
    """
    gray = colors.mean(axis=1, keepdims=True)
    mixed = gray + rng.uniform(0.1, 1.0) * (colors - gray)
    tint = rng.uniform(0.65, 1.3) * rng.uniform(0.88, 1.12, size=3)
    return (np.clip(mixed, 0, 1) ** (2 ** rng.uniform(-0.6, 0.6)) * tint).astype(np.float32)


def draw_scene(
    rng: np.random.Generator,
    classes: np.ndarray,
    photographs: list[tuple[Tensor, Tensor]],
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene with one region per entry of ``classes``.

    Args:
        rng: Source of randomness.
        classes: Class of each region.
        photographs: For each region the photograph at its own and at half its scale.
        size: Height and width (H, W).

    Returns:
        Image uint8 (H, W, 3) and label int64 (H, W).
    """
    regions = draw_regions(rng, len(classes), size)
    scene = np.zeros((*size, 3), dtype=np.float32)
    for region, images in enumerate(photographs):
        rows, columns = np.nonzero(regions == region)
        if len(rows):
            scene[rows, columns] = relight(rng, draw_patch(rng, images, rows, columns))
    picture = Image.fromarray((scene.clip(0, 1) * 255).astype(np.uint8))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8))))
    noise = rng.uniform(1, 6) * rng.standard_normal(scene.shape, dtype=np.float32)
    return (blurred + noise).round().clip(0, 255).astype(np.uint8), classes[regions]
