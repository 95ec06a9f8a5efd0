"""Correct labels at stride 8, as published, or at 16: mIoU of MLLC for three seeds.

MLLC_DATA=path/to/data python -m experiments.methods.strides --jobs 2

CamVid, 46 labeled images, 400 steps; scored on held-out training frames.
"""

import argparse
from pathlib import Path

from experiments.held_out import held_out
from experiments.methods.search import budget
from experiments.run import Job, roots, run

HERE = Path(__file__).parent


def main() -> None:
    """Train MLLC at both strides."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    given = parser.parse_args()
    options = (*budget("camvid"), "model.stride=8", "trainer.lr=3e-4", "method.lambda_clg=1")
    jobs = [
        Job("methods/camvid_46_mllc", (*options, f"model.feature_stride={stride}"), seed)
        for seed in range(3)
        for stride in (8, 16)
    ]
    root = held_out("camvid", roots()["camvid"])
    run(jobs, HERE / "strides.csv", given.jobs, {"camvid": root})


if __name__ == "__main__":
    main()
