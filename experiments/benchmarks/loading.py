"""Time the loading of images with and without the cache, and measure memory growth.

Run as `MLLC_DATA=path/to/data python -m experiments.benchmarks.loading`; writes `loading.csv`.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from experiments.benchmarks.measure import memory
from experiments.job import data_root
from experiments.keep import keep
from pyg_mllc.data import eval_loader, infinite_loader, load_dataset

HERE = Path(__file__).parent
EPOCHS = 8


def epochs(cache: str | None, workers: int) -> tuple[list[float], list[float], float]:
    """Return seconds of each pass over 367 labeled images, and megabytes grown after four.

    The second list is of this process's own time on a core, which other programs do not disturb.
    """
    root = data_root("camvid")
    samples = load_dataset("camvid", root, labeled=367, size=(180, 240), cache=cache).labeled
    loader = eval_loader(samples, batch_size=8, workers=workers)
    seconds, own, used = [], [], []
    for _ in range(EPOCHS):
        begun, busy = time.perf_counter(), time.process_time()
        count = sum(len(batch["image"]) for batch in loader)
        seconds.append(time.perf_counter() - begun)
        own.append(time.process_time() - busy)
        used.append(memory("VmRSS"))
        assert count == 367
    return seconds, own, used[-1] - used[3]


def steady(cache: str | None, workers: int, batches: int = 120) -> float:
    """Return images per second from the training loader, once its workers run."""
    root = data_root("camvid")
    samples = load_dataset("camvid", root, labeled=367, size=(180, 240), cache=cache).labeled
    loader = iter(infinite_loader(samples, batch_size=8, seed=0, workers=workers))
    for _ in range(10):
        next(loader)
    begun = time.perf_counter()
    for _ in range(batches):
        next(loader)
    return 8 * batches / (time.perf_counter() - begun)


HEADER = (
    "reading", "workers", "first_epoch", "epoch", "own_time", "images_per_second", "growth_mb",
)  # fmt: skip


def rows() -> Iterator[tuple]:
    """Yield a row for each way of reading and number of workers."""
    with tempfile.TemporaryDirectory() as folder:
        for name, cache in (("decoding", None), ("cache", folder)):
            for workers in (0, 2):
                seconds, own, growth = epochs(cache, workers)
                rate = steady(cache, workers)
                times = (seconds[0], statistics.median(seconds[1:]), statistics.median(own[1:]))
                yield name, workers, *(f"{t:.2f}" for t in times), f"{rate:.0f}", f"{growth:.1f}"
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        print(f"{size / 2**20:.0f} MB in the cache")


def main() -> None:
    """Measure, print, and write `loading.csv`."""
    torch.set_num_threads(1)
    keep(HERE / "loading.csv", HEADER, rows())


if __name__ == "__main__":
    main()
