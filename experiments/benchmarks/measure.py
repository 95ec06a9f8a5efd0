"""Time and memory of a function, measured in a separate process."""

import ctypes
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple


class Measure(NamedTuple):
    """Median seconds, peak of memory above the start, and the last result."""

    seconds: float
    megabytes: float
    result: Any


def _run(make: Callable, arguments: tuple, repeats: int, warmup: bool) -> Measure:
    function = make(*arguments)
    ctypes.CDLL(None).malloc_trim(0)  # what `make` has freed goes back to the system
    start = memory("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # resets the peak
    if warmup:
        function()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - begun)
    return Measure(statistics.median(times), max(memory("VmHWM") - start, 0.0), result)


def memory(field: str) -> float:
    """Return megabytes in use (VmRSS) or at the peak (VmHWM), on Linux."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


def measure(make: Callable, *arguments: Any, repeats: int = 5, warmup: bool = True) -> Measure:
    """Measure `make(*arguments)()` in a fresh process; the time of `make` is not counted.

    Args:
        make: a module's function that prepares the input and gives the function to measure.
        *arguments: its arguments.
        repeats: counted runs.
        warmup: whether to run once uncounted first.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, make, arguments, repeats, warmup).result()
