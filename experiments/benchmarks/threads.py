"""Time a correction beside other work, by the active waiting of OpenMP threads.

One image of 41 x 41, D = 256, C = 21, two rounds, two threads; idle, and beside two busy loops.

python -m experiments.benchmarks.threads
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.keep import keep

HERE = Path(__file__).parent
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
SETTINGS: dict[str, dict[str, str]] = {
    "torch's own": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    **{
        f"GOMP_SPINCOUNT={count}": {"GOMP_SPINCOUNT": str(count)}
        for count in (0, 1_000, 10_000, 30_000, 100_000)
    },
    "one thread": {"OMP_NUM_THREADS": "1"},
}
TURNS, REPEATS = 3, 15


def correct() -> None:
    """Print the median seconds of a correction."""
    import torch

    from pyg_mllc.nn import LabelCorrector

    torch.manual_seed(0)
    logits, features = torch.randn(1, 21, 41, 41), torch.randn(1, 256, 41, 41)
    corrector, times = LabelCorrector(21), []
    for _ in range(REPEATS + 2):
        begun = time.perf_counter()
        corrector(logits, features)
        times.append(time.perf_counter() - begun)
        if sum(times) > 20:  # a setting this slow needs no more turns
            break
    print(statistics.median(times[2:] or times))


def _loop() -> None:
    while True:
        pass


@contextmanager
def _beside(loops: int) -> Iterator[None]:
    processes = [multiprocessing.Process(target=_loop, daemon=True) for _ in range(loops)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def seconds(variables: dict[str, str]) -> float:
    """Measure in a separate process with these environment variables only."""
    environment = {k: v for k, v in os.environ.items() if k not in NAMES} | variables
    command = [sys.executable, "-W", "ignore", "-m", "experiments.benchmarks.threads", "once"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(run.stdout.split()[-1])


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a line for each setting: medians of turns, in which all settings take part."""
    times: dict[tuple[str, int], list[float]] = {}
    for loops in (0, 2):
        for _ in range(TURNS):
            for name, variables in SETTINGS.items():
                with _beside(loops):
                    times.setdefault((name, loops), []).append(seconds(variables))
    first = statistics.median(times["torch's own", 0])
    for name in SETTINGS:
        idle, busy = (statistics.median(times[name, loops]) for loops in (0, 2))
        yield name, f"{idle:.3f}", f"{busy:.3f}", f"{idle / first:.2f}", f"{busy / idle:.1f}"


if __name__ == "__main__":
    if sys.argv[1:] == ["once"]:
        correct()
    else:
        header = ("setting", "idle_seconds", "busy_seconds", "idle_to_own", "busy_to_idle")
        keep(HERE / "threads.csv", header, rows())
