import math

import pytest
import torch

from pyg_mllc.utils.resize import joint_bilateral_upsampling, upsample


def by_loops(maps, guide, color, distance):
    """Joint bilateral upsampling from its definition, for sides that are multiples."""
    (_, channels, h, w), (height, width) = maps.shape, guide.shape[-2:]
    a, b = height // h, width // w
    coarse = guide.unfold(2, a, a).unfold(3, b, b).mean((-1, -2))
    out = torch.zeros(1, channels, height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            total = 0
            for i in range(max(y // a - 1, 0), min(y // a + 2, h)):
                for j in range(max(x // b - 1, 0), min(x // b + 2, w)):
                    look = float((guide[0, :, y, x] - coarse[0, :, i, j]).square().sum())
                    far = ((y + 0.5) / a - i - 0.5) ** 2 + ((x + 0.5) / b - j - 0.5) ** 2
                    weight = math.exp(-look / color**2 - far / distance**2)
                    total += weight
                    out[0, :, y, x] += weight * maps[0, :, i, j]
            out[0, :, y, x] /= total
    return out


def test_joint_bilateral_upsampling_matches_loops():
    maps = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    guide = torch.rand(1, 3, 6, 12, dtype=torch.float64)
    enlarged = joint_bilateral_upsampling(guide, (3, 4), 0.4, 0.8)(maps)
    assert torch.allclose(enlarged, by_loops(maps, guide, 0.4, 0.8))


def test_maps_stop_at_edges_of_the_image_where_bilinear_ones_leak(device):
    guide = torch.zeros(2, 3, 24, 32, device=device)
    guide[:, :, :, 18:] = 1  # an edge inside a pixel of the map
    maps = torch.zeros(2, 1, 6, 8, device=device)
    maps[:, :, :, 5:] = 1
    maps[:, :, :, 4] = 0.5
    truth = guide[:, :1]
    enlarged = joint_bilateral_upsampling(guide, (6, 8))(maps)
    assert ((enlarged > 0.75) == (truth > 0)).all()
    assert (enlarged - truth).abs().mean() < 0.3 * (upsample(maps, (24, 32)) - truth).abs().mean()


@pytest.mark.parametrize("full", [(17, 23), (5, 60), (5, 7)])
def test_constant_maps_stay_constant_whatever_the_image_shows(full):
    guide = torch.rand(1, 3, *full).round()  # colors so far apart that plain weights underflow
    enlarged = joint_bilateral_upsampling(guide, (5, 7), color=1e-3)(torch.full((1, 2, 5, 7), 3.0))
    assert enlarged.shape == (1, 2, *full) and torch.allclose(enlarged, torch.tensor(3.0))


def test_maps_of_the_images_size_stay_as_they_are():
    maps = torch.randn(1, 2, 5, 7)
    assert joint_bilateral_upsampling(torch.rand(1, 3, 5, 7), (5, 7))(maps) is maps
