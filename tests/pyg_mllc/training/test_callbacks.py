import os
import signal
from dataclasses import replace

import pytest
import torch
from test_trainer import CONFIG, run

from pyg_mllc.methods import MLLC, Supervised
from pyg_mllc.training.callbacks import GracefulStop, step_callbacks


class Asked(MLLC):
    """A method that is asked to stop in the middle of its third batch."""

    calls = 0

    def forward(self, batch):
        self.calls += 1
        if self.calls == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(batch)


OPTIONS = {"total_steps": 4, "warmup": 0.2, "contrast_from": 0.0}


@pytest.mark.parametrize("interval", [1, 2, 3])  # a validation follows step 2, or does not
def test_a_stop_completes_the_step_its_teacher_and_its_validation(tmp_path, interval):
    config = replace(
        CONFIG, max_steps=4, accumulate_grad_batches=2, val_check_interval=interval, save_every=9
    )
    with pytest.raises(KeyboardInterrupt):
        run(Asked, tmp_path / "parts", config=config, **OPTIONS)
    saved = torch.load(tmp_path / "parts/last.ckpt", weights_only=True)
    assert saved["global_step"] == 2 and saved["run"]["batches"] == 4  # the fourth completes it
    assert saved["state_dict"]["method.teacher.updates"] == 2
    validated = [int(row["step"]) for row in saved["run"]["history"] if "miou" in row]
    assert validated == [step for step in (1, 2) if step % interval == 0]
    model, _, result = run(MLLC, tmp_path / "parts", config=config, resume=True, **OPTIONS)
    whole, _, expected = run(MLLC, tmp_path / "whole", config=config, **OPTIONS)
    assert result.history == expected.history
    for name, value in whole.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_a_second_request_stops_at_once(tmp_path):
    stop = GracefulStop(tmp_path, lambda step: False)
    stop._ask()
    with pytest.raises(KeyboardInterrupt):
        stop._ask()


def test_who_saves_comes_after_what_is_saved():
    names = [type(callback).__name__ for callback in step_callbacks(0, None, 1, bool)]
    assert names == ["BatchSeeding", "TeacherUpdate", "Checkpoints", "GracefulStop"]


def test_a_checkpoint_between_validations_holds_the_counted_batch_and_the_updated_teacher(
    tmp_path,
):
    run(Supervised, tmp_path, config=replace(CONFIG, max_steps=3, val_check_interval=2))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == saved["run"]["batches"] == 3
    assert saved["state_dict"]["method.teacher.updates"] == 3
