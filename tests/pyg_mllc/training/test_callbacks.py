import pytest

from pyg_mllc.training.callbacks import GracefulStop, step_callbacks


def test_a_second_request_stops_at_once(tmp_path):
    stop = GracefulStop(tmp_path, lambda step: False)
    stop._ask()
    with pytest.raises(KeyboardInterrupt):
        stop._ask()


def test_who_saves_comes_after_what_is_saved():
    names = [type(callback).__name__ for callback in step_callbacks(0, None, 1, bool)]
    assert names == ["BatchSeeding", "TeacherUpdate", "Checkpoints", "GracefulStop"]
