"""Batches: endless and resumable for training, once through for evaluation."""

import signal
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pyg_mllc.data.base import Sample, SampleSet
from pyg_mllc.errors import InputError
from pyg_mllc.utils.distributed import rank_and_size
from pyg_mllc.utils.user_code import NamedModules, finder
from pyg_mllc.utils.validation import check_count


class InfiniteBatchSampler(Sampler[list[int]]):
    """Batches of indices forever: shuffled passes over the data, joined and cut into equal batches.

    No batch is ever smaller, so batches may span two passes. Each pass has a seed of its own, so a
    run that resumes continues exactly where it stopped without drawing what came before. Where
    several processes train together, each gets its part of the same batches.

    Args:
        n: Number of samples.
        batch_size: Samples per batch B; may exceed ``n``.
        seed: Seed of all passes.
        start: Number of batches to skip.

    Raises:
        InputError: If there are no samples or a number is out of range.

    Example:
        >>> batches = iter(InfiniteBatchSampler(n=3, batch_size=2, seed=0))
        >>> [next(batches) for _ in range(3)]
        [[2, 0], [1, 2], [0, 1]]
    """

    def __init__(self, n: int, batch_size: int, seed: int, start: int = 0) -> None:
        if n < 1:
            raise InputError("There is no sample to make batches of: the data set is empty.")
        check_count("batch_size", batch_size, 1)
        check_count("seed", seed, 0)
        check_count("start", start, 0)
        self.n = n
        self.batch_size = batch_size
        self.seed = seed
        self.start = start

    def _indices(self) -> Iterator[int]:
        first, skip = divmod(self.start * self.batch_size, self.n)
        for epoch in count(first):
            yield from np.random.default_rng([self.seed, epoch]).permutation(self.n)[skip:].tolist()
            skip = 0

    def __iter__(self) -> Iterator[list[int]]:
        indices = self._indices()
        rank, processes = rank_and_size()
        while True:
            yield list(islice(indices, self.batch_size))[rank::processes]


class Share(Sampler[int]):
    """This process's part of a data set, in order; no sample is in two parts.

    Args:
        n: Number of samples.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def _places(self) -> range:
        rank, processes = rank_and_size()
        return range(rank, self.n, processes)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places())

    def __len__(self) -> int:
        return len(self._places())


class Carried(Dataset[Sample]):
    """A data set whose pickle brings the finder first: a new process needs it to read on.

    Args:
        found: Finder of the modules that the data set may need.
        samples: The data set.
    """

    def __init__(self, found: NamedModules, samples: SampleSet) -> None:
        self.found, self.samples = found, samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return Carried, (self.found, self.samples)


def _carried(samples: SampleSet) -> Dataset[Sample]:
    """Return a data set that takes code of the user's own along to processes that load it."""
    found = finder()
    return samples if found is None else Carried(found, samples)


def _ignore_signals(worker: int) -> None:
    """Leave it to the process that trains to stop: it saves first, and then ends its workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def infinite_loader(
    dataset: SampleSet, batch_size: int, seed: int, start: int = 0, workers: int = 0
) -> DataLoader[Sample]:
    """Give a loader that never ends.

    Args:
        dataset: Samples of one size.
        batch_size: Samples per batch B.
        seed: Seed of the order; the batches do not depend on ``workers``.
        start: Number of batches that an earlier run has seen.
        workers: Number of loading processes.

    Raises:
        InputError: If the data set is empty or a number is out of range.
    """
    check_count("workers", workers, 0)
    return DataLoader(
        _carried(dataset),
        batch_sampler=InfiniteBatchSampler(len(dataset), batch_size, seed, start),
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        generator=torch.Generator().manual_seed(seed),
    )


def eval_loader(
    dataset: SampleSet, batch_size: int, workers: int = 0, shared: bool = True
) -> DataLoader[Sample]:
    """Give a loader that goes through a data set once, in order; its last batch may be smaller.

    Args:
        dataset: Samples of one size.
        batch_size: Samples per batch B.
        workers: Number of loading processes.
        shared: Whether processes that train together get a part each; else each gets all.

    Raises:
        InputError: If a number is out of range.
    """
    check_count("batch_size", batch_size, 1)
    check_count("workers", workers, 0)
    # A generator of its own leaves the global random state alone: evaluating changes no training.
    return DataLoader(
        _carried(dataset),
        batch_size=batch_size,
        sampler=Share(len(dataset)) if shared else None,
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        generator=torch.Generator(),
    )
