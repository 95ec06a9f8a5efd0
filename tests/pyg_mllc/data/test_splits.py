import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_mllc.data.splits import draw_labeled, evenly_spaced


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 5), st.data())
def test_labeled_and_unlabeled_part_the_images(masked, seed, data):
    labeled = data.draw(st.integers(0, sum(masked)))
    known, rest = draw_labeled(masked, labeled, None, seed)
    assert len(known) == labeled and all(masked[index] for index in known)
    assert sorted(known + rest) == list(range(len(masked)))
    capped = draw_labeled(masked, labeled, 3, seed)
    assert (
        capped[0] == known and len(capped[1]) == min(3, len(rest)) and set(capped[1]) <= set(rest)
    )


def test_the_seed_decides_and_larger_draws_contain_smaller_ones():
    draws = [draw_labeled([True] * 100, labeled, None, 3)[0] for labeled in (10, 20)]
    assert set(draws[0]) < set(draws[1])
    assert draws[0] == draw_labeled([True] * 100, 10, None, 3)[0]
    assert draws[0] != draw_labeled([True] * 100, 10, None, 4)[0]


@pytest.mark.parametrize("length, count", [(10, 3), (101, 7), (5, 5), (4, 9), (8, None), (9, 1)])
def test_evenly_spaced_positions(length, count):
    positions = evenly_spaced(length, count)
    assert len(positions) == len(set(positions)) == min(length, count or length)
    assert positions[0] == 0 and positions[-1] < length
    steps = np.diff(positions)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1
