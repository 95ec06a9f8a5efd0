from functools import partial

import pytest
import torch

from pyg_mllc.data import textures
from pyg_mllc.errors import InputError
from pyg_mllc.losses import SupervisedLoss, masked_cross_entropy
from pyg_mllc.methods import MLLC, FixMatch, PrevMatch, Supervised, UniMatch, UniMatchV2
from pyg_mllc.nn import CorrectionMemory, FrozenFeatures, LabelCorrector, Segmenter
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.resize import upsample


def build(method, num_classes=3, **options):
    segmenter = Segmenter(num_classes, "test_resnet", feature_dim=8, width=16)
    return method(segmenter, LabelCorrector(num_classes, feature_dim=8, k=4), **options)


def batch(device="cpu", size=2):
    return {
        "image": torch.rand(size, 3, 48, 64, device=device),
        "label": torch.randint(3, (size, 48, 64), device=device),
        "unlabeled": torch.rand(size, 3, 48, 64, device=device),
        "valid": torch.ones(size, 48, 64, dtype=torch.bool, device=device),
        "index": torch.arange(size, device=device),
    }


class Same(torch.nn.Module):
    """A view that changes nothing."""

    def forward(self, *maps):
        return maps


FROZEN = partial(FrozenFeatures, name="test_resnet", weights=None)


def memory(encoder=None, anchors=0, class_thresholds="fixed"):
    return partial(
        CorrectionMemory, encoder=encoder, anchors=anchors, class_thresholds=class_thresholds
    )


CORRECTED = {"correct": True, "memory": memory(FROZEN)}


METHODS = [
    (Supervised, {}),
    (Supervised, {"correct": True, "memory": memory(FROZEN, 60, "counts")}),
    (FixMatch, {"total_steps": 30, "warmup": 0.2}),
    (FixMatch, {"total_steps": 30, **CORRECTED}),
    (UniMatch, {"total_steps": 30}),
    (UniMatchV2, {"total_steps": 30}),
    (PrevMatch, {"total_steps": 30, "snapshots": 2, "snapshot_interval": 0.1}),
    (MLLC, {"total_steps": 30, "warmup": 0.2, "contrast_from": 0.1}),
    (MLLC, {"total_steps": 30, "memory": memory(FROZEN, 60, "ema"), "channel_dropout": 0.5}),
]


@pytest.mark.parametrize("method, options", METHODS)
def test_a_plain_loop_learns_one_batch(method, options, device):
    model = build(method, **options).to(device)
    data = batch(device)
    data["label"] = (data["image"][:, 0] > 0.5).long()
    data["image"] = (data["label"][:, None] * 0.8 + 0.1).repeat(1, 3, 1, 1)
    data["image"][:, :, ::8] = 0.5
    optimizer = torch.optim.Adam(model.student.parameters(), lr=3e-3)
    supervised = []
    for _ in range(30):
        figures = model(data)
        optimizer.zero_grad()
        figures["loss"].backward()
        optimizer.step()
        model.update()
        supervised.append(float(figures["supervised"]))
    assert sum(supervised[-5:]) < 0.8 * sum(supervised[:5])
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_mllc_warms_up_without_the_unlabeled_images():
    model = build(MLLC, total_steps=10, warmup=0.5)
    assert "unsupervised" not in model(batch())
    for _ in range(5):
        model.update()
    figures = model(batch())
    assert figures["unsupervised"] > 0 and 0 <= figures["confident"] <= 1


def test_mllc_learns_from_the_teacher_and_gives_it_no_gradient():
    model = build(MLLC, warmup=0.0, contrast_from=0.0)
    figures = model(batch())
    figures["loss"].backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(p.grad is not None for p in model.student.parameters())
    assert model.prototypes.seen.any()


def test_padding_of_unlabeled_images_gets_no_label():
    model = build(MLLC, warmup=0.0, contrast_from=0.0)
    data = batch()
    data["valid"] = torch.zeros(2, 48, 64).bool()
    assert (model.pseudo_labels(data).label == IGNORE).all()


@pytest.mark.parametrize("void", ["label", "valid"])
def test_a_batch_of_only_void_trains(void):
    data = batch()
    data["label" if void == "label" else "valid"] = (
        torch.full((2, 48, 64), IGNORE) if void == "label" else torch.zeros(2, 48, 64).bool()
    )
    model = build(MLLC, warmup=0.0, contrast_from=0.0)
    loss = model(data)["loss"]
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.student.parameters())


@pytest.mark.parametrize(
    "method, options",
    [
        (MLLC, {"contrast_from": 0.0}),
        (FixMatch, {"correct": True, "memory": memory(FROZEN, 0, "counts")}),
        (UniMatch, {"correct": True, "memory": memory(FROZEN, 0, "counts")}),
    ],
)
def test_class_counts_come_from_labeled_and_unlabeled_images(method, options):
    model = build(method, weak=Same(), warmup=0.0, **options)
    counted = model.memory.class_thresholds
    counted.threshold = 0.0
    data = batch()
    model(data)
    assert counted.counts.sum() == 2 * 2 * 6 * 8  # both halves of the batch at stride 8
    data["valid"][:, 24:] = False  # padding does not count
    data["label"][:, :, 32:] = IGNORE
    counted.counts.zero_()
    model(data)
    assert counted.counts.sum() == 2 * 6 * 8


@pytest.mark.parametrize("method", [FixMatch, UniMatch, UniMatchV2, PrevMatch])
def test_labels_that_the_teacher_is_unsure_of_teach_nothing(method):
    model = build(method, threshold=1.0)
    figures = model(batch())
    assert figures["unsupervised"] == 0 and figures["confident"] == 0
    assert build(method, threshold=0.0)(batch())["unsupervised"] > 0


def test_unimatch_weighs_its_views_as_published():
    strong, views = Same(), iter([0.1, 0.7])
    strong.forward = lambda image, *maps: (image * next(views), *maps)
    model = build(
        UniMatch, channel_dropout=0.0, lambda_u=3.0, weak=Same(), strong=strong, threshold=0.0
    )
    model.eval()
    data = batch()
    figures = model(data)
    expected = (figures["supervised"] + 3 * figures["unsupervised"]) / 2
    assert torch.allclose(figures["loss"], expected)
    segmenter, x = model.student.segmenter, data["unlabeled"]
    label = upsample(segmenter(x).logits, x.shape[-2:]).argmax(1)
    first, second, weak = (
        masked_cross_entropy(segmenter(x * f).logits, label) for f in (0.1, 0.7, 1)
    )
    parts = first / 4 + second / 4 + weak / 2
    assert torch.allclose(figures["unsupervised"], parts, atol=1e-5)


def test_unimatch_without_perturbations_is_fixmatch():
    options = {"weak": Same(), "strong": Same(), "threshold": 0.0}
    torch.manual_seed(0)
    one = build(UniMatch, channel_dropout=0.0, **options).eval()
    torch.manual_seed(0)
    other = build(FixMatch, **options).eval()
    data = batch()
    assert torch.allclose(one(data)["unsupervised"], other(data)["unsupervised"], atol=1e-5)


@pytest.mark.parametrize("method", [UniMatch, UniMatchV2, PrevMatch])
def test_unimatch_weighs_labels_in_the_warm_up_as_later(method):
    figures = build(method, total_steps=10, warmup=0.5)(batch())
    assert set(figures) == {"loss", "supervised"}
    assert torch.allclose(figures["loss"], figures["supervised"] / 2)


def test_mllc_shares_the_teachers_labels_among_its_views():
    strong, views = Same(), iter([1.0, 0.1])

    def roll(image, *maps):  # so that each view has labels and weights of its own
        turn = next(views)
        return image.roll(1, 0) * turn, *(m.roll(1, 0) for m in maps)

    strong.forward = roll
    views_of = {"weak": Same(), "strong": strong, "memory": memory()}
    model = build(MLLC, channel_dropout=1e-9, warmup=0.0, **views_of)
    model.eval()
    data = batch()
    figures = model(data)
    x, segmenter = data["unlabeled"], model.student.segmenter
    output = model.student(x, model.memory)  # the teacher is the student still
    confidence, label = upsample(output.logits, x.shape[-2:]).softmax(1).max(1)
    targets = label, confidence**6
    weak, second = (masked_cross_entropy(segmenter(x * f).logits, *targets) for f in (1, 0.1))
    corrected = sum(masked_cross_entropy(p.logits, *targets) for p in output)
    expected = corrected / 2 + 3 * (second / 6 + weak / 3)
    assert torch.allclose(figures["unsupervised"], expected, atol=1e-5)


def test_unimatch_teaches_with_the_student_itself():
    model = build(UniMatch)
    with torch.no_grad():
        model.student.segmenter.class_head.weight.add_(1)
    model.update()
    model.update()
    for pair in zip(model.teacher.parameters(), model.student.parameters(), strict=True):
        assert torch.equal(*pair)


def test_a_correcting_fixmatch_gives_its_teachers_labels_another_form():
    model = build(FixMatch, **CORRECTED)
    images = torch.rand(1, 3, 48, 64)
    output = model.predict_teacher(images)
    assert not torch.allclose(output.before.logits, output.logits)
    maps = model.memory.encoder(images, (6, 8), output.before.features)
    expected = LabelCorrector(3, k=4)(*output.before, graph_features=maps).logits
    assert torch.allclose(output.logits, expected, atol=1e-4)
    assert not build(FixMatch).predict_teacher(torch.rand(1, 3, 48, 64)).rounds


@pytest.mark.parametrize(
    "method, options",
    [
        (MLLC, {"warmup": 0.0, "contrast_from": 0.0}),
        (FixMatch, {"correct": True}),
        (UniMatch, {"correct": True}),
        (Supervised, {"correct": True}),
    ],
)
def test_anchors_are_of_the_labeled_images_as_last_seen(method, options):
    kept = memory(None if method is MLLC else FROZEN, anchors=3000)
    model = build(method, memory=kept, weak=Same(), **options)
    data, anchors = batch(), model.memory.anchors
    assert not len(anchors)
    for numbers in ([5, 9], [9, 2], [5, 9]):
        data["index"] = torch.tensor(numbers)
        model(data)
        model.update()
    assert torch.bincount(anchors.image).nonzero().flatten().tolist() == [2, 5, 9]
    assert len(anchors) == 3 * 6 * 8  # an image's pixels are replaced, not added to
    model.eval()
    images = torch.rand(1, 3, 48, 64)
    corrected = model.predict_teacher(images).logits
    anchors.clear()
    assert not torch.allclose(model.predict_teacher(images).logits, corrected)


@pytest.mark.parametrize(
    "method, more",
    [
        (Supervised, {}),
        (FixMatch, {"warmup": 0.9, "total_steps": 10}),
        (UniMatch, {"warmup": 0.9, "total_steps": 10}),
    ],
)
def test_keeping_anchors_leaves_the_training_of_labels_as_it_is(method, more):
    weights = []
    for options in ({}, {"correct": True, "memory": memory(FROZEN, 60, "counts")}):
        torch.manual_seed(0)
        model = build(method, weak=Same(), **options, **more)
        optimizer = torch.optim.SGD(model.student.segmenter.parameters(), lr=0.1)
        torch.manual_seed(1)
        data = batch()
        for _ in range(3):
            model(data)["loss"].backward()
            optimizer.step()
            model.update()
        weights.append(model.student.segmenter.class_head.weight.detach())
        assert not options or len(model.memory.anchors) == 60
    assert torch.equal(*weights)


def test_a_student_without_anchors_learns_what_its_teacher_knows_by_them():
    found = []
    for student_anchors in (True, False):
        model = build(
            MLLC, warmup=0.0, contrast_from=0.0, weak=Same(), strong=Same(),
            student_anchors=student_anchors, memory=memory(anchors=60),
        ).eval()  # fmt: skip
        model.memory.anchors.add(torch.randn(60, 8), torch.arange(60) % 3)
        seen, taught = [], []

        def note(notes):
            return lambda module, args, kwargs, output: notes.append(kwargs["anchors"] is not None)

        for network, notes in ((model.student, seen), (model.teacher.network, taught)):
            network.corrector.register_forward_hook(note(notes), with_kwargs=True)
        model(batch())
        model.student(batch()["image"], model.memory)
        found.append((taught, seen))
    assert found == [([True], [True, True]), ([True], [False, True])]


def test_anchors_need_the_numbers_of_images():
    data = batch()
    del data["index"]
    with pytest.raises(InputError, match=r"needs index \(B,\)"):
        build(Supervised, correct=True, memory=memory(FROZEN, 60))(data)


def test_anchors_that_rounds_have_no_place_for_are_refused():
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16)
    levels = LabelCorrector(3, k=4, levels="class")
    with pytest.raises(InputError, match="levels=both or semantic"):
        FixMatch(segmenter, levels, correct=True, memory=memory(FROZEN, 60))
    bayes = LabelCorrector(3, k=4, levels="class", anchor_rule="bayes")
    method = FixMatch(segmenter, bayes, correct=True, memory=memory(FROZEN, 60))
    assert method.memory.anchors is not None


@pytest.mark.parametrize(
    "options, changes",
    [
        ({"lambda_slg": 0.0}, {"contrast": 0.0}),
        ({"intra": 0.0, "inter": 0.0}, {"contrast": 0.0}),
        ({"weighting": "hard"}, {"unsupervised": 0.0}),
        ({"weighting": "uniform"}, {"unsupervised": 0.0}),
        ({"weighting": "softmatch"}, {}),
        ({"weighting": "freematch"}, {}),
    ],
)
def test_parts_switch_off(options, changes):
    same = {"weak": Same(), "strong": Same(), "warmup": 0.0, "contrast_from": 0.0}
    data, found = batch(), []
    for more in ({}, options):
        torch.manual_seed(0)
        found.append(build(MLLC, **same, **more)(data))
    assert found[1]["loss"].isfinite() and not torch.equal(found[0]["loss"], found[1]["loss"])
    for name, value in changes.items():
        assert found[1][name] == value


@pytest.mark.parametrize("method, options", METHODS)
def test_classes_weigh_on_labeled_pixels_alone(method, options):
    found, data = [], batch()
    for class_weights in ("none", [1.0, 0.0, 0.0]):
        torch.manual_seed(0)
        loss = partial(SupervisedLoss, class_weights=class_weights)
        model = build(method, **options | {"warmup": 0.0} if method is not Supervised else options)
        model.supervised_loss = loss(3)
        found.append(model(data))
    assert not torch.equal(found[0]["supervised"], found[1]["supervised"])
    assert {name for name, value in found[0].items() if not torch.equal(value, found[1][name])} == {
        "loss", "supervised"
    }  # fmt: skip


@pytest.mark.parametrize("method, options", METHODS)
def test_the_shares_of_classes_come_from_the_labeled_images(method, options):
    labeled = textures(labeled=3, unlabeled=0, val=1, size=(32, 48)).labeled
    loss = partial(SupervisedLoss, logit_adjustment=1.0)
    model = build(method, 10, supervised_loss=loss, **options)
    model.prepare(labeled)
    label = torch.stack([labeled[index]["label"] for index in range(3)])
    counts = label[label != IGNORE].bincount(minlength=10)
    expected = torch.where(counts > 0, counts, counts.max()) / counts.sum()
    assert torch.allclose(model.supervised_loss.class_shares, expected)


def test_without_deep_supervision_the_first_and_the_last_prediction_learn():
    same = {"weak": Same(), "strong": Same(), "warmup": 0.0, "memory": memory()}
    model, data = build(MLLC, **same, deep_supervision=False).eval(), batch()
    output = model.student(data["image"], model.memory)
    ends = output.before, output.after
    expected = sum(masked_cross_entropy(p.logits, data["label"]) for p in ends)
    assert torch.allclose(model(data)["supervised"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"warmup": 1.5}, r"method.warmup in \[0, 1\), got 1.5"),
        ({"method": FixMatch, "threshold": 95}, r"method.threshold in \[0, 1\], got 95"),
        (
            {"method": UniMatch, "channel_dropout": 1.5},
            r"method.channel_dropout in \[0, 1\), got 1.5",
        ),
        ({"contrast_from": -1}, r"method.contrast_from in \[0, 1\], got -1"),
        ({"memory": memory(class_thresholds="none")}, "counts, ema or fixed, got none"),
        ({"memory": memory(anchors=2)}, "one for each of 3 classes at least, got 2"),
        ({"supervised_loss": partial(SupervisedLoss, class_weights=[1])}, r"3 numbers of .* \[1\]"),
        ({"channel_dropout": 1.0}, r"method.channel_dropout in \[0, 1\), got 1.0"),
        ({"weighting": "soft"}, "power, hard, uniform, softmatch or freematch, got 'soft'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**{"method": MLLC} | options)


def test_labels_are_not_corrected_by_nobody():
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16)
    with pytest.raises(InputError, match=r"method\.correct=true needs"):
        FixMatch(segmenter, correct=True)


@pytest.mark.parametrize("layers", [{"conv": "SAGEConv"}, {"feature_conv": "GATv2Conv"}])
def test_labels_are_not_corrected_by_layers_that_nobody_trains(layers):
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16)
    with pytest.raises(InputError, match=r"does not train the corrector"):
        FixMatch(segmenter, LabelCorrector(3, 8, **layers), correct=True)
