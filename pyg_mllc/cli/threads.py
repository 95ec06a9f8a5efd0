"""Waiting of OpenMP's threads for each other."""

import os

SPINS = "10000"


def share_cores() -> None:
    """Make OpenMP's waiting threads sleep early, unless the user has said how they wait.

    By default a thread waits actively, even while another process uses the core that its partner
    needs. Beside other work a correction then takes many times as long, see
    `experiments/benchmarks`. Call this before torch is imported; it has an effect on GNU's OpenMP,
    which torch uses on Linux.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = SPINS
