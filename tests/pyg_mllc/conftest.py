"""A small trained-like network in a checkpoint, for all that starts from one."""

import pytest
import torch

from pyg_mllc.checkpoints import build_method, describe, save_checkpoint

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
