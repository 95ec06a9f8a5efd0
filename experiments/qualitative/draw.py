"""Rows of image, truth, and the teacher's label before and after correction.

python -m experiments.qualitative.draw

Unlabeled images of a run of the table `methods`, evenly spaced; none is picked by hand.
"""

from pathlib import Path

import numpy as np

from experiments.run import Job
from experiments.trained import beliefs, trained, unlabeled_with_truth
from pyg_mllc.pictures import example_figure
from pyg_mllc.results import Example

HERE = Path(__file__).parent
ROWS = 5


def main() -> None:
    """Draw the figure of each run."""
    for row in ("camvid_46_mllc", "camvid_46_mllc_anchors", "voc_54_mllc", "voc_54_mllc_anchors"):
        job = Job(f"methods/{row}", (), 0)
        images, places, spec = unlabeled_with_truth(job)
        places = [places[i] for i in np.linspace(0, len(places) - 1, ROWS).round().astype(int)]
        examples = []
        for sample, logits in beliefs(trained(job), images, places):
            belief = logits.softmax(1)
            confidence, after = belief[-1].max(0)
            image, truth, before = sample["image"], sample["label"], belief[0].argmax(0)
            examples.append(Example(sample["name"], image, truth, before, after, confidence))
        figure = example_figure(examples, spec.classes, spec.colors)
        figure.savefig(HERE / f"{row}.jpg", dpi=100)


if __name__ == "__main__":
    main()
