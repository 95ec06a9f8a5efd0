import csv
import errno
import math
import os
import random
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch.callbacks import RichProgressBar
from torch.nn.utils import get_total_norm

from pyg_mllc.data import DatasetSpec, ReadableSet, Splits, textures, to_float
from pyg_mllc.errors import InputError
from pyg_mllc.losses import SupervisedLoss
from pyg_mllc.methods import MLLC, PrevMatch, Supervised
from pyg_mllc.metrics.segmentation import iou
from pyg_mllc.nn import CorrectionMemory, FrozenFeatures, LabelCorrector, Segmenter
from pyg_mllc.training import TrainerConfig, TrainingModule, train
from pyg_mllc.training.trainer import Bar
from pyg_mllc.utils.resize import upsample

CONFIG = TrainerConfig(
    max_steps=6, batch_size=2, unlabeled_batch_size=2, val_check_interval=4, log_every_n_steps=2,
    accelerator="cpu", enable_progress_bar=False,
)  # fmt: skip


MOMENTUM = partial(torch.optim.SGD, lr=3e-4, momentum=0.9, weight_decay=0.01)
COSINE = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=6)
CONSTANT = partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0)


def run(method, out, unlabeled=3, seed=0, config=CONFIG, resume=False, **more):
    torch.manual_seed(seed)
    segmenter = Segmenter(10, "test_resnet", feature_dim=8, width=16)
    options = {"total_steps": 6, "warmup": 0.2, "contrast_from": 0.0} if method is MLLC else {}
    model = method(segmenter, LabelCorrector(10, feature_dim=8, k=4), **options | more)
    splits = textures(labeled=2, unlabeled=unlabeled, val=3, size=(32, 48))
    return model, splits, train(model, splits, config, seed, out, "run", resume)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """A run of MLLC with the usual settings, which several tests look at."""
    return run(MLLC, tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("method, rounds", [(Supervised, 0), (MLLC, 2)])
def test_trains_validates_and_keeps_log_and_checkpoint(method, rounds, tmp_path):
    model, _, result = run(method, tmp_path)
    assert [step for step, _ in result.curve("loss")] == [1, 3, 5]
    assert [step for step, _ in result.curve("miou")] == [4, 6]
    assert len(result.label_accuracy) == len(result.label_miou) == rounds + 1
    with open(tmp_path / "metrics.csv") as file:
        *_, last = [row for row in csv.DictReader(file) if row["miou"]]
    assert float(last["step"]) == 6 and "loss" in last
    for r in range(rounds + 1):  # before correction, and after each round
        assert float(last[f"label_miou_{r}"]) == pytest.approx(result.label_miou[r], abs=1e-5)
        assert float(last[f"label_accuracy_{r}"]) == pytest.approx(
            result.label_accuracy[r], abs=1e-5
        )
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in model.state_dict().items():
        assert torch.equal(saved[f"method.{name}"], value), name


def test_reported_figures_are_those_of_the_trained_network_over_the_split(usual):
    model, splits, result = usual
    model.eval()
    student, corrected = torch.zeros(10, 10), torch.zeros(10, 10)
    with torch.no_grad():
        for i in range(len(splits.val)):
            sample = splits.val[i]
            image, label = to_float(sample["image"])[None], sample["label"].flatten()
            predictions = model.student.segmenter(image), model.predict_teacher(image).after
            for confusion, prediction in zip((student, corrected), predictions, strict=True):
                logits = upsample(prediction.logits, sample["label"].shape)
                predicted = logits.argmax(1).flatten()
                confusion.index_put_((label, predicted), torch.tensor(1.0), True)
    assert result.last_miou == pytest.approx(float(iou(student).nanmean()), abs=1e-3)
    accuracy = float(corrected.diag().sum() / corrected.sum())
    assert result.label_accuracy[-1] == pytest.approx(accuracy, abs=2e-3)


def test_a_seed_repeats_a_run(tmp_path):
    one, _, _ = run(MLLC, tmp_path / "a", seed=1)
    other, _, _ = run(MLLC, tmp_path / "b", seed=1)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_the_progress_bar_counts_no_epochs():
    assert hasattr(RichProgressBar, "_get_train_description")  # of Lightning's own, which calls it
    assert Bar()._get_train_description(0).strip() == "Training"


def test_mllc_without_unlabeled_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs unlabeled images, and there are none"):
        run(MLLC, tmp_path, unlabeled=0)


def test_lengths_below_one_are_refused():
    with pytest.raises(InputError, match=r"trainer\.max_steps=0 must be 1 or more"):
        TrainerConfig(max_steps=0)


def test_the_corrector_stays_near_the_identity_while_it_learns(usual):
    model, splits, _ = usual
    image = to_float(splits.val[0]["image"])[None]
    fresh = LabelCorrector(10, feature_dim=8, k=4)
    with torch.no_grad():
        prediction = model.student.eval().segmenter(image)
        trained, untouched = model.student.corrector(*prediction), fresh(*prediction)
    for part, expected in zip(trained.after, untouched.after, strict=True):
        assert torch.allclose(part, expected, atol=0.3)


MEMORY = partial(
    CorrectionMemory,
    encoder=partial(FrozenFeatures, name="test_resnet", weights=None),
    anchors=60,
    class_thresholds="ema",
)
LONG = {
    "saved_between_validations": (
        replace(CONFIG, max_steps=14, save_every=3, val_check_interval=5), {}
    ),
    "two_batches_a_step": (
        replace(
            CONFIG, max_steps=14, val_check_interval=3, accumulate_grad_batches=2,
            rare_class_temperature=0.05,
        ),
        {
            "supervised_loss": partial(SupervisedLoss, logit_adjustment=1.0, class_weights="enet"),
            "weighting": "freematch",
            "rare_paste": 0.5,
        },
    ),
}  # fmt: skip


def long_run(out, config, resume=False):
    settings, options = LONG[config]
    more = {"total_steps": 14, "memory": MEMORY, **options}
    return run(MLLC, out, config=settings, resume=resume, **more)


@pytest.fixture(scope="module", params=LONG)
def whole(request, tmp_path_factory):
    """Settings, and a run with them that nothing interrupts."""
    return request.param, long_run(tmp_path_factory.mktemp("whole"), request.param)


def test_a_run_killed_twice_ends_as_if_it_had_not_been_killed(
    whole, fork_server, monkeypatch, tmp_path
):
    """Really killed, each time at a random moment after its next checkpoint."""
    config, (expected, _, whole_result) = whole
    last, saved = tmp_path / "last.ckpt", None
    monkeypatch.syspath_prepend(Path(__file__).parent)  # the process has this path
    code = "import test_trainer as t; t.torch.set_num_threads(1); t.long_run(*args)"
    for seed in range(2):
        process = fork_server.Process(target=exec, args=(code, {"args": (tmp_path, config, True)}))
        process.start()
        while process.is_alive() and not (last.exists() and last.stat().st_mtime_ns != saved):
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        saved = last.stat().st_mtime_ns
    model, _, result = long_run(tmp_path, config, resume=True)
    for name, value in expected.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert result.history == whole_result.history
    assert result.label_accuracy == whole_result.label_accuracy


class Prepared(Supervised):
    """A method that tells what it was prepared with."""

    calls: ClassVar[list[int]] = []

    def prepare(self, labeled, progress=False):
        self.calls.append(len([labeled[index]["label"] for index in range(len(labeled))]))


def test_a_method_is_prepared_once_with_the_labeled_images_and_not_when_it_goes_on(tmp_path):
    run(Prepared, tmp_path, config=replace(CONFIG, max_steps=1))
    assert Prepared.calls == [2]
    run(Prepared, tmp_path, resume=True)
    assert Prepared.calls == [2]


def test_rare_classes_are_drawn_more_often(tmp_path):
    """Without it each of two images is in each batch of two; at T near 0 the rarest class wins."""

    class Noting(Supervised):
        seen: ClassVar[list[list[int]]] = []

        def forward(self, batch):
            self.seen.append(batch["index"].tolist())
            return super().forward(batch)

    _, splits, _ = run(Noting, tmp_path / "usual")
    assert all(sorted(numbers) == [0, 1] for numbers in Noting.seen)
    Noting.seen.clear()
    run(Noting, tmp_path / "rare", config=replace(CONFIG, rare_class_temperature=1e-6))
    labels = torch.stack([splits.labeled[index]["label"] for index in range(2)])
    counts = labels.flatten().bincount(minlength=10)
    rarest = torch.where(counts > 0, counts, counts.max() + 1).argmin()
    share = (labels == rarest).flatten(1).float().mean(1)
    best = {index for index in range(2) if share[index] >= 1e-3}
    assert {index for numbers in Noting.seen for index in numbers} == best != {0, 1}


def test_going_on_with_a_run_that_ended_changes_nothing(tmp_path):
    model, _, result = run(MLLC, tmp_path)
    again, _, kept = run(MLLC, tmp_path, resume=True)
    assert kept.history == result.history and kept.step_seconds == result.step_seconds
    assert kept.seconds >= result.seconds
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_run_stopped_before_its_last_validation_goes_on_to_it(tmp_path, monkeypatch):
    config = replace(CONFIG, save_every=3)  # at the last step, too, which nothing validates yet
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("lightning.Trainer.validate", Mock(side_effect=KeyboardInterrupt))
        run(MLLC, tmp_path, config=config)
    _, _, result = run(MLLC, tmp_path, config=config, resume=True)
    assert [step for step, _ in result.curve("miou")] == [4, 6]


class Asking:
    """Part of a method that is asked to stop in the middle of its third batch."""

    calls = 0

    def forward(self, batch):
        self.calls += 1
        if self.calls == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(batch)


class Asked(Asking, MLLC):
    pass


class AskedPrevMatch(Asking, PrevMatch):
    pass


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


def test_a_stopped_run_goes_on_with_its_snapshots(tmp_path):
    config = replace(CONFIG, max_steps=8)
    options = {"total_steps": 8, "snapshots": 3, "snapshot_interval": 0.125, "threshold": 0.0}
    options["previous_threshold"] = 0.0
    with pytest.raises(KeyboardInterrupt):
        run(AskedPrevMatch, tmp_path / "parts", config=config, **options)
    saved = torch.load(tmp_path / "parts/last.ckpt", weights_only=True)["state_dict"]
    assert saved["method.snapshots.taken"] == 3
    model, _, result = run(PrevMatch, tmp_path / "parts", config=config, resume=True, **options)
    whole, _, expected = run(PrevMatch, tmp_path / "whole", config=config, **options)
    assert model.snapshots.taken == 8
    assert result.history == expected.history
    for name, value in whole.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_a_checkpoint_between_validations_holds_the_counted_batch_and_the_updated_teacher(
    tmp_path,
):
    run(Supervised, tmp_path, config=replace(CONFIG, max_steps=3, val_check_interval=2))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == saved["run"]["batches"] == 3
    assert saved["state_dict"]["method.teacher.updates"] == 3


def test_the_best_checkpoint_is_of_the_best_validation(tmp_path, monkeypatch):
    found, real = iter([0.1, 0.3, 0.3, 0.2, 0.1, 0.0]), TrainingModule.on_validation_epoch_end

    def scripted(module):
        real(module)
        module.history[-1]["miou"] = next(found)

    monkeypatch.setattr(TrainingModule, "on_validation_epoch_end", scripted)
    _, _, result = run(Supervised, tmp_path, config=replace(CONFIG, val_check_interval=1))
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert best["global_step"] == result.best_step == 2
    assert "optimizer_states" not in best


def test_steps_count_optimizer_steps_however_many_batches_each_takes(tmp_path):
    config = replace(
        CONFIG, accumulate_grad_batches=2, max_steps=3, val_check_interval=2, log_every_n_steps=1
    )
    model, _, result = run(MLLC, tmp_path, config=config, total_steps=3)
    assert int(model.step) == 3 and int(model.teacher.updates) == 3
    assert [step for step, _ in result.curve("loss")] == [1, 2, 3]
    assert [step for step, _ in result.curve("miou")] == [2, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": MOMENTUM, "scheduler": COSINE, "gradient_clip_val": 1.0},
        {"scheduler": CONSTANT, "precision": "bf16-mixed", "channels_last": True},
        {"optimizer": torch.optim.NAdam, "precision": "bf16-mixed", "gradient_clip_val": 0.1},
    ],
)
def test_options_train(options, usual, tmp_path):
    _, _, result = run(MLLC, tmp_path, config=replace(CONFIG, **options))
    assert math.isfinite(result.last_miou) and result.history != usual[-1].history


def test_who_trained_can_be_stopped_as_before(tmp_path):
    """A handler of SIGTERM that stays would make the caller's process deaf to it."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(Supervised, tmp_path)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("precision", ["64-mixed", "bf16-true", "transformer-engine", "8"])
def test_a_precision_that_no_method_runs_in_is_refused(precision):
    with pytest.raises(InputError, match=f"precision={precision} is none of 32-true, 16-mixed"):
        replace(CONFIG, precision=precision)


def test_a_batch_too_small_for_batch_normalization_is_refused_in_a_sentence():
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=8, decoder="deeplabv3plus")
    module = TrainingModule(Supervised(segmenter), 3, replace(CONFIG, batch_size=1))
    batch = {"image": torch.zeros(1, 3, 64, 64).byte(), "label": torch.zeros(1, 64, 64).long()}
    with pytest.raises(InputError, match="too small for batch normalization: raise"):
        module.training_step({"labeled": batch}, 0)


def test_a_window_validates(tmp_path, monkeypatch):
    seen, real = set(), Supervised.predict_teacher
    monkeypatch.setattr(
        Supervised,
        "predict_teacher",
        lambda model, view: seen.add(view.shape[-2:]) or real(model, view),
    )
    run(Supervised, tmp_path, config=replace(CONFIG, window=(20, 30)))
    assert seen == {(20, 30)}


def test_gradients_are_clipped(tmp_path, monkeypatch):
    norms, step = [], torch.optim.SGD.step

    def watched(optimizer, *args, **kwargs):
        out = step(optimizer, *args, **kwargs)
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(get_total_norm([p.grad for p in weights if p.grad is not None])))
        return out

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    for clip in (None, 0.01):
        norms.clear()
        run(
            Supervised, tmp_path, config=replace(CONFIG, optimizer=MOMENTUM, gradient_clip_val=clip)
        )
        assert len(norms) == 6 and (max(norms) <= 0.0101) == (clip is not None)


def test_training_stops_early_without_progress(tmp_path):
    config = replace(
        CONFIG,
        max_steps=30,
        val_check_interval=1,
        optimizer=partial(torch.optim.AdamW, lr=0.0),
        early_stop=2,
    )
    _, _, result = run(Supervised, tmp_path, config=config)
    assert [step for step, _ in result.curve("miou")][-1] < 10


class Explodes(Supervised):
    """A method whose gradient is NaN at the third step, though its loss is not."""

    calls = 0

    def forward(self, batch):
        self.calls += 1
        figures = super().forward(batch)
        if self.calls == 3:
            figures["loss"].register_hook(lambda gradient: gradient * math.nan)
        return figures


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(tmp_path):
    with pytest.raises(
        InputError, match=r"step 3: not finite: gradient; .*last\.ckpt is of before"
    ):
        run(Explodes, tmp_path, config=replace(CONFIG, save_every=1))
    model, _, _ = run(Explodes, tmp_path, config=replace(CONFIG, on_nonfinite="skip"))
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_new_run_does_not_go_on_with_an_older_one(tmp_path):
    run(Supervised, tmp_path)
    with pytest.raises(InputError):
        run(Diverges, tmp_path, config=replace(CONFIG, save_every=100))
    assert (tmp_path / "earlier.ckpt").exists() and not (tmp_path / "last.ckpt").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"optimizer": partial(MOMENTUM, lr="fast")}, "optimizer.lr=fast is not a number"),
        ({"optimizer": partial(MOMENTUM, lr=-1)}, "optimizer.lr=-1 must be 0 or more"),
        ({"optimizer": partial(MOMENTUM, rate=1)}, "optimizer: .*unexpected keyword.*'rate'"),
        ({"scheduler": partial(COSINE, power=1)}, "scheduler: .*unexpected keyword.*'power'"),
        ({"logger": ["excel"]}, "trainer.logger has excel, none of csv"),
        ({"devices": 4}, "trainer.batch_size=2 does not divide among 4 processes"),
        ({"rare_class_temperature": 0.0}, "trainer.rare_class_temperature=0.0 must be above 0"),
        ({"rare_class_temperature": "low"}, "trainer.rare_class_temperature=low is not a number"),
        ({"accumulate_grad_batches": 0}, r"trainer\.accumulate_grad_batches=0 must be 1 or more"),
    ],
)
def test_config_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **options)


class Diverges(Supervised):
    """A method whose loss is NaN at the third step."""

    calls = 0

    def forward(self, batch):
        self.calls += 1
        figures = super().forward(batch)
        if self.calls == 3:
            figures["loss"] = figures["loss"] * math.nan
        return figures


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"step 3: not finite: loss; lower optimizer\.lr"):
        run(Diverges, tmp_path, config=replace(CONFIG, save_every=1))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
    assert all(v.isfinite().all() for v in saved["state_dict"].values())


def test_a_loss_that_is_not_finite_is_skipped_if_asked(tmp_path):
    model, _, result = run(Diverges, tmp_path, config=replace(CONFIG, on_nonfinite="skip"))
    assert model.calls == 6 and math.isfinite(result.last_miou)
    assert all(p.isfinite().all() for p in model.parameters())


class Overflows(Supervised):
    """A method that sees infinity at the third step."""

    calls = 0

    def forward(self, batch):
        self.calls += 1
        return super().forward(batch | {"image": batch["image"] / (self.calls != 3)})


def test_a_skipped_batch_leaves_no_trace_in_batch_normalization(tmp_path):
    model, _, result = run(Overflows, tmp_path, config=replace(CONFIG, on_nonfinite="skip"))
    assert model.calls == 6 and math.isfinite(result.last_miou)
    assert all(b.isfinite().all() for b in model.buffers())


def test_a_full_disk_loses_no_earlier_checkpoint(tmp_path, monkeypatch):
    run(Supervised, tmp_path)
    before = (tmp_path / "last.ckpt").read_bytes()
    real = torch.save

    def full(checkpoint, file):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left") as caught:
        run(Supervised, tmp_path, config=replace(CONFIG, save_every=1))
    assert caught.value.filename == str(tmp_path / "last.ckpt")
    monkeypatch.setattr(torch, "save", real)
    assert (tmp_path / "earlier.ckpt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_strangers_checkpoint_is_refused(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"last\.ckpt is no checkpoint of a run"):
        run(Supervised, tmp_path, resume=True)


class Fewer(ReadableSet):
    """The same images with labels of fewer classes."""

    def __init__(self, samples, classes):
        super().__init__(samples)
        self.classes = classes

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return {**sample, "label": sample["label"] % self.classes}


@pytest.mark.parametrize("classes", [2, 150])
def test_few_and_many_classes_train_from_one_image(classes, tmp_path):
    segmenter = Segmenter(classes, "test_resnet", feature_dim=8, width=16)
    options = {"total_steps": 3, "warmup": 0.0, "contrast_from": 0.0}
    model = MLLC(segmenter, LabelCorrector(classes, feature_dim=8, k=4), **options)
    splits = textures(labeled=1, unlabeled=1, val=1, size=(32, 48))
    names, colors = tuple(map(str, range(classes))), ((0, 0, 0),) * classes
    splits = Splits(
        spec=DatasetSpec("some", names, colors),
        labeled=Fewer(splits.labeled, classes),
        unlabeled=splits.unlabeled,
        val=Fewer(splits.val, classes),
    )
    result = train(model, splits, replace(CONFIG, max_steps=3), 0, tmp_path, "run")
    assert math.isfinite(result.last_miou)
