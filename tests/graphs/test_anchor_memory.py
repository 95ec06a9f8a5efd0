import pytest
import torch

from graphs import AnchorMemory


def test_memory_is_balanced_by_class_under_its_budget():
    memory = AnchorMemory(num_classes=3, feature_dim=2, budget=30)
    for _ in range(5):
        label = torch.tensor([0] * 100 + [1] * 3)
        memory.add(label[:, None].float().expand(-1, 2), label)
    assert torch.bincount(memory.label, minlength=3).tolist() == [10, 10, 0] and len(memory) == 20
    assert torch.equal(memory.x[:, 0].long(), memory.label)


def test_memory_keeps_a_uniform_sample_of_all_it_was_given():
    memory = AnchorMemory(num_classes=1, feature_dim=1, budget=400)
    for part in torch.arange(4000.0).split(37):
        memory.add(part[:, None], torch.zeros(len(part)).long())
    assert memory.x.unique().numel() == 400
    assert memory.x.mean() == pytest.approx(2000, abs=180)  # three standard errors
    assert (memory.x % 37).mean() == pytest.approx(18, abs=1.6)  # of each part, too


def test_state_is_saved_and_what_follows_is_the_same():
    data = [(torch.randn(50, 4), torch.randint(2, (50,))) for _ in range(3)]
    memory, again = (AnchorMemory(2, 4, budget=20) for _ in range(2))
    memory.add(*data[0])
    memory.add(*data[1])
    again.load_state_dict(memory.state_dict())
    for m in (memory, again):
        m.add(*data[2])
    assert torch.equal(memory.x, again.x) and torch.equal(memory.label, again.label)


def test_clearing_forgets():
    memory = AnchorMemory(2, 4, budget=20)
    memory.add(torch.randn(5, 4), torch.ones(5).long())
    memory.clear()
    assert len(memory) == 0 and memory.x.shape == (0, 4)


def test_forgetting_an_image_leaves_the_others_and_makes_room():
    memory = AnchorMemory(2, 4, budget=20)
    for image in (3, 7):
        memory.add(torch.full((5, 4), float(image)), torch.ones(5).long(), image)
    query = torch.zeros(1, 4)
    assert memory.nearest(query, 1).similarity.tolist() == [[-36]]
    memory.forget(torch.tensor([3, 8]))
    assert memory.image.tolist() == [7] * 5 and (memory.x == 7).all()
    assert memory.nearest(query, 1).similarity.tolist() == [[-196]]
    memory.add(torch.full((9, 4), 1.0), torch.ones(9).long(), 3)
    assert len(memory) == 10 and set(memory.image.tolist()) == {3, 7}


def test_the_memory_is_prepared_anew_after_each_change():
    memory = AnchorMemory(1, 2, budget=4)
    memory.add(torch.tensor([[1.0, 0.0]]), torch.zeros(1).long())
    query = torch.zeros(1, 2)
    assert memory.nearest(query, 1).similarity.tolist() == [[-1]]
    saved = {name: value.clone() for name, value in memory.state_dict().items()}
    memory.add(torch.tensor([[0.5, 0.0]]), torch.zeros(1).long())
    assert memory.nearest(query, 1).similarity.tolist() == [[-0.25]]
    memory.load_state_dict(saved)
    assert memory.nearest(query, 1).similarity.tolist() == [[-1]]
    assert memory.double().nearest(query, 1).similarity.dtype == torch.float64
    memory.clear()
    assert memory.nearest(query, 1).indices.tolist() == [[-1]]


def test_what_is_kept_does_not_depend_on_the_precision():
    memory = AnchorMemory(1, 1, budget=100).bfloat16()
    for i in range(200):
        memory.add(torch.full((100, 1), float(i)), torch.zeros(100).long())
    assert memory.x.float().mean() == pytest.approx(99.5, abs=18)


def test_distances_are_as_precise_whether_images_are_hidden_or_not():
    memory = AnchorMemory(1, 4, budget=50).bfloat16()
    memory.add(torch.randn(50, 4), torch.zeros(50).long())
    x = torch.randn(7, 4).bfloat16()
    one, other = memory.nearest(x, 3), memory.nearest(x, 3, torch.full((7,), -1))
    assert one.similarity.dtype == torch.float32
    assert torch.equal(one.similarity, other.similarity)


def test_nodes_of_no_image_are_hidden_from_nobody():
    memory = AnchorMemory(1, 2, budget=5)
    memory.add(torch.randn(5, 2), torch.zeros(5).long())
    assert (memory.nearest(torch.randn(3, 2), 5, torch.tensor([-1, -1, 0])).indices >= 0).all()
    with pytest.raises(ValueError, match=r"image \(3,\) of whole numbers"):
        memory.nearest(torch.randn(3, 2), 5, torch.tensor([0]))


@pytest.mark.parametrize(
    "sizes, message",
    [
        ((0, 2, 8), "num_classes above 0, got 0"),
        ((3, 0, 8), "feature_dim above 0, got 0"),
        ((3, 2, 2), "at least one node for each of 3 classes, got 2"),
    ],
)
def test_a_memory_of_nothing_is_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        AnchorMemory(*sizes)
