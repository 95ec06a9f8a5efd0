import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pyg_mllc.data.file_pairs import FilePair
from pyg_mllc.data.labeled_subset import classes_present, draw_labeled, order_by_balance
from pyg_mllc.data.spec import DatasetSpec

SPEC = DatasetSpec("four", tuple("abcd"), ((0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3)))


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
    assert draw_labeled(masked, labeled, None, seed, overlap=True) == (known, [*range(len(masked))])


def test_the_seed_decides_and_larger_draws_contain_smaller_ones():
    draws = [draw_labeled([True] * 100, labeled, None, 3)[0] for labeled in (10, 20)]
    assert set(draws[0]) < set(draws[1])
    assert draws[0] == draw_labeled([True] * 100, 10, None, 3)[0]
    assert draws[0] != draw_labeled([True] * 100, 10, None, 4)[0]


def test_some_images_come_first():
    first = [index % 3 == 0 for index in range(30)]
    few, many = (draw_labeled([True] * 30, labeled, None, 0, first)[0] for labeled in (8, 14))
    assert all(first[index] for index in few) and set(few) < set(many)
    assert sum(first[index] for index in many) == 10


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 99))
def test_balanced_order_is_an_order(n, classes, seed):
    rng = np.random.default_rng(seed)
    candidates = rng.permutation(40)[:n].tolist()
    order = order_by_balance(candidates, rng.random((40, classes)) < 0.3)
    assert sorted(order) == sorted(candidates)


def test_balanced_draws_hold_every_class_early_and_evenly():
    rng = np.random.default_rng(0)
    shares = np.array([1.0, 0.5, 0.2, 0.05, 0.02])
    present = rng.random((400, 5)) < shares
    plain, even = (draw_labeled([True] * 400, 20, None, 0, None, p)[0] for p in (None, present))
    assert present[even].sum(0).min() >= 4 > 1 >= present[plain].sum(0).min()
    assert present[draw_labeled([True] * 400, 5, None, 0, None, present)[0]].any(0).all()
    assert set(draw_labeled([True] * 400, 5, None, 0, None, present)[0]) < set(even)


def masks(tmp_path, *values):
    items = []
    for number, row in enumerate(values):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.array([row], dtype=np.uint8)).save(path)
        items.append(FilePair(tmp_path / "image.jpg", path))
    return items


def test_classes_of_masks(tmp_path):
    items = masks(tmp_path, [0, 1], [255, 255], [9, 0], [3, 1])
    items.append(FilePair(tmp_path / "image.jpg", None))
    present = classes_present(items, SPEC)
    assert [np.flatnonzero(row).tolist() for row in present] == [[0, 1], [], [], [1, 3], []]
