from itertools import chain, islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_mllc.data import InfiniteBatchSampler, Textures, eval_loader, infinite_loader
from pyg_mllc.data.loaders import rare_class_probabilities
from pyg_mllc.errors import InputError


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 5))
def test_every_pass_holds_every_index_once(n, batch_size, seed):
    batches = list(islice(InfiniteBatchSampler(n, batch_size, seed), 3 * n))
    assert all(len(batch) == batch_size for batch in batches)
    stream = list(chain.from_iterable(batches))
    for begin in range(0, len(stream) - n + 1, n):
        assert sorted(stream[begin : begin + n]) == list(range(n))


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 12), st.booleans())
def test_start_equals_skipping(n, batch_size, start, drawn):
    options = {"seed": 7, "probabilities": np.full(n, 1 / n) if drawn else None}
    whole = list(islice(InfiniteBatchSampler(n, batch_size, **options), start + 5))
    later = InfiniteBatchSampler(n, batch_size, start=start, **options)
    assert list(islice(later, 5)) == whole[start:]


def test_samples_are_drawn_as_often_as_is_asked():
    probabilities = np.array([0.7, 0.0, 0.2, 0.1])
    batches = islice(InfiniteBatchSampler(4, 50, seed=0, probabilities=probabilities), 200)
    counts = np.bincount(list(chain.from_iterable(batches)), minlength=4)
    assert counts / 10_000 == pytest.approx(probabilities, abs=0.02)


def test_rare_classes_are_drawn_as_a_loop_over_classes_says():
    counts = np.array(  # pixels of 5 classes, the last of which nobody shows
        [[900, 100, 0, 0, 0], [900, 0, 100, 0, 0], [997, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    )
    shares, temperature = counts.sum(0) / counts.sum(), 0.3
    chance = np.array([np.exp((1 - f) / temperature) if f else 0 for f in shares])
    chance /= chance.sum()
    expected = np.zeros(4)
    for label, images in enumerate([[0, 1, 2], [0, 2], [1, 2], [2], []]):
        for image in images:
            expected[image] += chance[label] / len(images)
    assert rare_class_probabilities(counts, temperature) == pytest.approx(expected)
    few = rare_class_probabilities(counts, temperature, min_share=0.01)
    for image, label in ((2, 1), (2, 2)):  # a single pixel is not enough where others hold more
        expected[[image, label - 1]] += np.array([-1, 1]) * chance[label] / 2
    assert few == pytest.approx(expected) and few.sum() == pytest.approx(1)


def test_a_low_temperature_draws_the_rarest_class_alone():
    counts = np.array([[500, 500, 0], [600, 390, 10], [500, 500, 0]])
    assert rare_class_probabilities(counts, 1e-4).tolist() == [0, 1, 0]


def test_draws_of_rare_classes_need_a_label():
    with pytest.raises(InputError, match="rare_class_temperature needs labels"):
        rare_class_probabilities(np.zeros((3, 2), dtype=int))


def test_passes_and_seeds_differ_and_repeat():
    first, second = islice(InfiniteBatchSampler(50, 50, seed=0), 2)
    assert first != second
    assert [first, second] == list(islice(InfiniteBatchSampler(50, 50, seed=0), 2))
    assert first != next(iter(InfiniteBatchSampler(50, 50, seed=1)))


def test_skipping_far_is_immediate():
    assert len(next(iter(InfiniteBatchSampler(1000, 16, seed=0, start=10**12)))) == 16


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n": 0}, "data set is empty"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"start": -1}, "start=-1"),
    ],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(InputError, match=message):
        InfiniteBatchSampler(**{"n": 4, "batch_size": 2, "seed": 0, **options})


def test_workers_change_nothing():
    dataset = Textures("train", 5, (32, 32))
    alone, helped = (
        list(islice(infinite_loader(dataset, 3, seed=1, start=2, workers=workers), 3))
        for workers in (0, 1)
    )
    for one, other in zip(alone, helped, strict=True):
        assert one["name"] == other["name"] and torch.equal(one["image"], other["image"])
    expected = list(islice(InfiniteBatchSampler(5, 3, seed=1, start=2), 3))
    assert [[int(name[-5:]) for name in batch["name"]] for batch in alone] == expected


def test_eval_loader_goes_through_once_in_order():
    loader = eval_loader(Textures("val", 5, (32, 32)), batch_size=2)
    names = [batch["name"] for batch in loader]
    assert [len(batch) for batch in names] == [2, 2, 1]
    assert list(chain.from_iterable(names)) == [f"textures-val-{number:05d}" for number in range(5)]


def test_loaders_leave_the_global_random_state_alone():
    dataset = Textures("train", 2, (32, 32))
    state = torch.get_rng_state()
    next(iter(eval_loader(dataset, 2)))
    next(iter(infinite_loader(dataset, 2, seed=0)))
    assert torch.equal(state, torch.get_rng_state())


def test_negative_workers_are_named():
    with pytest.raises(InputError, match="workers=-1"):
        eval_loader(Textures("val", 1), 1, workers=-1)
