"""Draw rows of image, truth, and the teacher's label before and after correction.

python -m experiments.qualitative.draw

Unlabeled images of a run of the table `methods`, evenly spaced; none is picked by hand.
"""

from pathlib import Path

from experiments.trained import MLLC_RUNS, finished, logits_of, trained, unlabeled_with_truth
from pyg_mllc.evaluation.results import Example
from pyg_mllc.visualization.examples import example_figure

HERE = Path(__file__).parent
ROWS = 5


def main() -> None:
    """Draw the figure of each run."""
    for job in finished(MLLC_RUNS):
        images, places, spec = unlabeled_with_truth(job, ROWS)
        examples = []
        for sample, logits in logits_of(trained(job), images, places):
            probabilities, truth = logits.softmax(1), sample["label"]
            (confidence, after), before = probabilities[-1].max(0), probabilities[0].argmax(0)
            maps = sample["image"], truth, before, after, confidence
            examples.append(Example(sample["name"], *maps))
        figure = example_figure(examples, spec.classes, spec.colors)
        figure.savefig(HERE / f"{Path(job.config).name}.jpg", dpi=100)


if __name__ == "__main__":
    main()
