"""What several tests start from: a network in a checkpoint, and an evaluation of many images."""

import pytest
import torch

from pyg_mllc.evaluation.evaluate import evaluate
from pyg_mllc.inference.checkpoint import build_method, describe, save_checkpoint

CLASSES, COLORS, SIZE = ["sky", "road", "car"], [(0, 0, 9), (9, 0, 0), (0, 9, 0)], (32, 48)


@pytest.fixture(scope="session")
def checkpoint_file(tmp_path_factory):
    torch.manual_seed(0)
    model = {"encoder": "test_resnet", "feature_dim": 8, "width": 16}
    method = {"_target_": "pyg_mllc.methods.MLLC", "warmup": 0.0}
    description = describe(CLASSES, COLORS, SIZE, model=model, corrector={"k": 4}, method=method)
    made = build_method(description)
    with torch.no_grad():  # as decided as a trained one
        made.student.segmenter.class_head.weight.mul_(5)
    made.update()
    file = tmp_path_factory.mktemp("saved") / "a.ckpt"
    save_checkpoint(file, made, description)
    return file


# Names that try to be more than text.
HOSTILE = ("</script><script>alert(1)</script>", "<b>road</b>", "'\"&amp;${1+1}{{2}}")


class Images:
    """Samples of any number, made as they are asked for."""

    def __init__(self, total, size=(12, 16)):
        self.total, self.size = total, size

    def __len__(self):
        return self.total

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        label = torch.randint(3, self.size, generator=generator)
        label[0, :3] = 255
        image = torch.randint(256, (3, *self.size), generator=generator, dtype=torch.uint8)
        return {"name": f"{index}_{HOSTILE[index % 3]}", "image": image, "label": label}


def guesses(images):
    """Probabilities of 3 classes, before and after what looks like a correction."""
    before = (9 * images).softmax(1)
    return [before, (9 * images + 2 * images.roll(1, 1)).softmax(1)]


@pytest.fixture(scope="session")
def make_evaluation():
    return lambda total, gallery=60, stages=guesses: evaluate(
        stages, Images(total), batch_size=64, gallery=gallery
    )


@pytest.fixture(scope="session")
def evaluation(make_evaluation):
    return make_evaluation(7)
