"""The same labels on every processor, in every precision, thread, batch and exported form."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from graphs import AnchorMemory, join_features
from pyg_mllc.nn import LabelCorrector, label_logits

ROUNDS = 3
FORMS = {"mllc": {}, "mean": {"anchor_rule": "mean"}, "bayes": {"anchor_rule": "bayes"}}
C, D, H, W, SCENES = 6, 32, 13, 17, 4


def regions(count):
    """Regions of one class each: features (B, D, h, w) of unit length, noisy, and the truth."""
    at = torch.cartesian_prod(torch.arange(H), torch.arange(W)).float()
    centers = torch.rand(count, 8, 2) * torch.tensor([H, W])
    nearest = torch.cdist(at.expand(count, -1, 2), centers).argmin(2)
    truth = torch.randint(C, (count, 8)).gather(1, nearest).view(count, H, W)
    means = torch.randn(C, D, generator=torch.Generator().manual_seed(0))
    noise = torch.tensor([0.0, 0.5, 1.0, 2.0]).repeat(count)[:count].view(-1, 1, 1, 1)
    x = means[truth] + noise * torch.randn(count, H, W, D)
    return join_features([x.permute(0, 3, 1, 2)]), truth


@pytest.fixture(scope="module")
def scenes():
    """Inputs of all forms, flat regions among them, and weights as a training might leave them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features, truth = regions(SCENES)
        wrong = torch.rand(truth.shape) < 0.3
        label = torch.where(wrong, torch.randint(C, truth.shape), truth)
        logits = label_logits(label, C).permute(0, 3, 1, 2)
        logits = logits + 0.3 * torch.randn_like(logits)
        x, y = regions(3)
        anchors = x.permute(0, 2, 3, 1).flatten(0, 2), y.flatten()
        trained = LabelCorrector(C, D, ROUNDS, learn_blend=True)
        for weight in trained.parameters():
            weight.data += 0.1 * torch.randn_like(weight) / len(weight) ** 0.5
        return logits, features, anchors, trained.state_dict()


@torch.no_grad()
def correct(scenes, change=lambda t: t, batched=False) -> dict[str, list[Tensor]]:
    """Logits after each round, of each form without weights and with them."""
    logits, features, (x, label), weights = scenes
    z, f = change(logits), change(features)
    found = {}
    for form, options in FORMS.items():
        for trained in (False, True):
            shape = {"feature_dim": D, "learn_blend": True} if trained else {}
            corrector = LabelCorrector(C, rounds=ROUNDS, **shape, **options).eval()
            corrector.load_state_dict(weights if trained else {})
            corrector.to(z.dtype)
            memory = None
            if form != "mllc":
                memory = AnchorMemory(C, D, budget=C * len(x)).to(z.dtype)
                memory.add(x.to(z.dtype), label)
            parts = [(z, f)] if batched else zip(z.split(1), f.split(1), strict=True)
            each = [corrector(*part, anchors=memory).rounds for part in parts]
            found[f"{form}, trained={trained}"] = [
                torch.cat([p.logits for p in rounds]) for rounds in zip(*each, strict=True)
            ]
    return found


def check(found, expected):
    """Logits within a thousandth, and labels equal in 99.99% of the pixels."""
    for form, history in expected.items():
        for r, (one, other) in enumerate(zip(found[form], history, strict=True), start=1):
            apart = (one.double() - other.double()).abs().max()
            assert apart < 1e-3, f"{form}, round {r}: {apart:.1e}"
            same = (one.argmax(1) == other.argmax(1)).double().mean()
            assert same >= 0.9999, f"{form}, round {r}: {same:.4%} of the labels"


@pytest.fixture(scope="module")
def expected(scenes):
    return correct(scenes)


SCRIPT = """
import sys, torch
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from test_stability import correct
torch.set_num_threads(1)
torch.save((torch.backends.cpu.get_cpu_capability(), correct(torch.load(sys.argv[3]))), sys.argv[4])
"""


@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_processors_agree(capability, scenes, expected, tmp_path):
    """What a processor without AVX-512, or without any vectors, makes of the same inputs."""
    torch.save(scenes, tmp_path / "scenes.pt")
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", SCRIPT, here, os.getcwd(), "scenes.pt", "found.pt"]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, timeout=300)
    seen, found = torch.load(tmp_path / "found.pt")
    assert seen == capability.upper()
    check(found, expected)


def test_precisions_agree(scenes, expected):
    check(correct(scenes, Tensor.double), expected)


def test_threads_agree(scenes, expected):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 if threads == 1 else 1)
        check(correct(scenes), expected)
    finally:
        torch.set_num_threads(threads)


def test_an_image_is_corrected_as_in_a_batch(scenes, expected):
    check(correct(scenes, batched=True), expected)


def test_inputs_that_agree_to_a_millionth_give_the_same(scenes, expected):
    def nearly(x):
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
        return x + 1e-6 * noise

    check(correct(scenes, nearly), expected)
