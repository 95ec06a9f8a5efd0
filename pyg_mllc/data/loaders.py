"""Data loaders: infinite and resumable for training, one pass for evaluation."""

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
    """Infinite batches of indices: shuffled passes over the data, cut into equal batches.

    With probabilities, a pass is as many independent draws in place of a shuffle. All batches have
    the same size, so a batch may span two passes. Each pass has its own seed, so a resumed run
    continues exactly where it stopped without drawing the earlier passes. With several processes,
    each gets its part of the same batches.

    Args:
        n: Number of samples.
        batch_size: Samples per batch B, over all processes; may exceed ``n``.
        seed: Seed of all passes.
        start: Number of batches to skip.
        probabilities: Probability of each sample in a draw, (n,); by default each sample comes once
            in a pass.

    Raises:
        InputError: If there are no samples or a number is out of range.

    Example:
        >>> batches = iter(InfiniteBatchSampler(n=3, batch_size=2, seed=0))
        >>> [next(batches) for _ in range(3)]
        [[2, 0], [1, 2], [0, 1]]
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        seed: int,
        start: int = 0,
        probabilities: np.ndarray | None = None,
    ) -> None:
        if n < 1:
            raise InputError("There is no sample to make batches of: the data set is empty.")
        check_count("batch_size", batch_size, 1)
        check_count("seed", seed, 0)
        check_count("start", start, 0)
        self.n = n
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.probabilities = probabilities

    def _pass(self, epoch: int) -> list[int]:
        rng = np.random.default_rng([self.seed, epoch])
        if self.probabilities is None:
            return rng.permutation(self.n).tolist()
        return rng.choice(self.n, self.n, p=self.probabilities).tolist()

    def _indices(self) -> Iterator[int]:
        first, skip = divmod(self.start * self.batch_size, self.n)
        for epoch in count(first):
            yield from self._pass(epoch)[skip:]
            skip = 0

    def __iter__(self) -> Iterator[list[int]]:
        indices = self._indices()
        rank, processes = rank_and_size()
        while True:
            yield list(islice(indices, self.batch_size))[rank::processes]


def class_draw_probabilities(counts: np.ndarray, temperature: float = 0.01) -> np.ndarray:
    r"""Compute probabilities of classes that prefer rare ones (DAFormer, Hoyer et al., CVPR 2022).

    .. math::
        P(c) \propto \exp\big( (1 - f_c) / T \big)

    where :math:`f_c` is the class's share of all labeled pixels. A class without pixels is not
    drawn.

    Args:
        counts: Pixels of each class, (C,), not all 0.
        temperature: T; the lower, the more often rare classes are drawn.

    Returns:
        P, (C,).
    """
    present = counts > 0
    shares = counts[present] / counts.sum()
    chances = np.exp((shares.min() - shares) / temperature)
    probabilities = np.zeros(len(counts))
    probabilities[present] = chances / chances.sum()
    return probabilities


def rare_class_probabilities(
    counts: np.ndarray, temperature: float = 0.01, min_share: float = 1e-3
) -> np.ndarray:
    r"""Compute probabilities that draw samples with rare classes more often.

    A class is drawn, then one of the samples that hold enough of it (rare class sampling, DAFormer,
    Hoyer et al., CVPR 2022):

    .. math::
        P(i) = \sum_c P(c) \, [i \in S_c] / |S_c|

    with P(c) of `class_draw_probabilities`. A sample that holds enough of no class is not drawn.

    Args:
        counts: Pixels of each class in each sample, (n, C).
        temperature: T; the lower, the more often rare classes are drawn.
        min_share: Share of the labeled pixels of a sample that is enough. Of a class that has it
            nowhere, any pixel is enough.

    Returns:
        P, (n,).

    Raises:
        InputError: If no class has a pixel.

    Example:
        >>> rare_class_probabilities(np.array([[9, 0], [9, 0], [8, 1]]), temperature=0.5).round(2)
        array([0.05, 0.05, 0.91])
    """
    present = counts.any(0)
    if not present.any():
        raise InputError("trainer.rare_class_temperature needs labels, and no pixel has a class.")
    chances = class_draw_probabilities(counts.sum(0), temperature)[present]
    holds = counts[:, present] >= min_share * counts.sum(1, keepdims=True).clip(1)
    holds = np.where(holds.any(0), holds, True) & (counts[:, present] > 0)
    return (chances * holds / holds.sum(0)).sum(1)


class UnpaddedDistributedSampler(Sampler[int]):
    """Indices of this process's part of a data set, in order; no sample is in two parts.

    Unlike torch's and Lightning's samplers, it may be built before the process group, and parts may
    be empty.

    Args:
        n: Number of samples.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def _indices(self) -> range:
        rank, processes = rank_and_size()
        return range(rank, self.n, processes)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices())

    def __len__(self) -> int:
        return len(self._indices())


class _WithUserCode(Dataset[Sample]):
    """Data set whose pickle installs the finder of the user's modules before it is read.

    Args:
        modules: Finder of the modules that the data set may need.
        samples: Data set.
    """

    def __init__(self, modules: NamedModules, samples: SampleSet) -> None:
        self.modules, self.samples = modules, samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return _WithUserCode, (self.modules, self.samples)


def _with_user_code(samples: SampleSet) -> Dataset[Sample]:
    """Return a data set that loading processes can unpickle where it needs the user's modules."""
    modules = finder()
    return samples if modules is None else _WithUserCode(modules, samples)


def _ignore_signals(worker: int) -> None:
    """Ignore signals to stop: the training process saves first, then ends its workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def infinite_loader(
    dataset: SampleSet,
    batch_size: int,
    seed: int,
    start: int = 0,
    workers: int = 0,
    probabilities: np.ndarray | None = None,
) -> DataLoader[Sample]:
    """Build a loader of infinite batches, see `InfiniteBatchSampler`.

    Args:
        dataset: Samples of one size.
        batch_size: Samples per batch B, over all processes.
        seed: Seed of the order; batches do not depend on ``workers``.
        start: Number of batches that an earlier run has seen.
        workers: Number of loading processes; 0 loads in the calling process.
        probabilities: Probability of each sample in a draw, such as `rare_class_probabilities`; by
            default each sample comes once in a pass.

    Returns:
        Loader of collated samples.

    Raises:
        InputError: If the data set is empty or a number is out of range.
    """
    check_count("workers", workers, 0)
    return DataLoader(
        _with_user_code(dataset),
        batch_sampler=InfiniteBatchSampler(len(dataset), batch_size, seed, start, probabilities),
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        generator=torch.Generator().manual_seed(seed),
    )


def eval_loader(
    dataset: SampleSet, batch_size: int, workers: int = 0, shared: bool = True
) -> DataLoader[Sample]:
    """Build a loader of one pass in order; its last batch may be smaller.

    Args:
        dataset: Samples of one size.
        batch_size: Samples per batch B.
        workers: Number of loading processes; 0 loads in the calling process.
        shared: Whether each process of a training gets a part; else each gets all samples.

    Returns:
        Loader of collated samples.

    Raises:
        InputError: If a number is out of range.
    """
    check_count("batch_size", batch_size, 1)
    check_count("workers", workers, 0)
    # With its own generator the loader leaves the global random state alone.
    return DataLoader(
        _with_user_code(dataset),
        batch_size=batch_size,
        sampler=UnpaddedDistributedSampler(len(dataset)) if shared else None,
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        generator=torch.Generator(),
    )
