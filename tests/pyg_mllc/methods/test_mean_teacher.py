import pytest
import torch
from torch import nn

from pyg_mllc.errors import InputError
from pyg_mllc.methods import Teacher


def student():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_follows_the_moving_average_buffers_included():
    network = student()
    teacher = Teacher(network, decay=0.9)
    expected = {name: t.clone() for name, t in network.state_dict().items()}
    for t in range(30):
        network(torch.randn(2, 3, 4, 4) + t)  # moves the running statistics
        for p in network.parameters():
            p.data += torch.randn_like(p)
        teacher.update(network)
        alpha = min(1 - 1 / (t + 1), 0.9)
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                expected[name] = alpha * expected[name] + (1 - alpha) * value
            else:
                expected[name] = value.clone()
    for name, value in teacher.network.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-5), name


def test_cannot_be_trained():
    teacher = Teacher(student())
    nn.ModuleList([teacher]).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher.network(torch.randn(1, 3, 2, 2)).requires_grad


def test_weights_that_modules_share_are_averaged_once():
    network = nn.Sequential(nn.Linear(3, 3))
    network.append(network[0])
    teacher = Teacher(network, decay=0.9)
    teacher.updates += 100
    with torch.no_grad():
        network[0].weight.add_(1)
    teacher.update(network)
    assert torch.allclose(teacher.network[0].weight, network[0].weight - 0.9)


@pytest.mark.parametrize("decay", [-0.1, 1.5])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(InputError, match=r"method\.decay in \[0, 1\], got"):
        Teacher(student(), decay)
