import numpy as np
import pytest

from pyg_mllc.utils.sampling import evenly_spaced


@pytest.mark.parametrize("length, count", [(10, 3), (101, 7), (5, 5), (4, 9), (8, None), (9, 1)])
def test_evenly_spaced_positions(length, count):
    positions = evenly_spaced(length, count)
    assert len(positions) == len(set(positions)) == min(length, count or length)
    assert positions[0] == 0 and positions[-1] < length
    steps = np.diff(positions)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1
