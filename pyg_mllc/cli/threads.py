"""How OpenMP's threads wait for each other."""

import os

SPINS = "10000"


def share_cores() -> None:
    """Let OpenMP's waiting threads sleep early, unless the user has said how they wait.

    By default a thread waits actively while another process holds the core that its partner needs,
    so that beside other work a correction takes many times as long (`experiments/benchmarks`). To
    be called before torch is imported; GNU's OpenMP, which torch brings on Linux, heeds it.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = SPINS
