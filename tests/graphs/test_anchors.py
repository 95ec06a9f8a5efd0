import math
from functools import partial

import pytest
import torch

from graphs import (
    AnchorMemory,
    ExactSearch,
    IVFSearch,
    anchor_evidence,
    anchor_graph,
    join_features,
    propagate,
    random_walk_norm,
)


@pytest.mark.parametrize("search", [ExactSearch, IVFSearch])
def test_anchors_tell_nodes_of_other_images_their_label(search, device):
    centers = 3 * torch.randn(5, 8)
    memory = AnchorMemory(5, 8, budget=500, search=search).to(device)
    label = torch.randint(5, (2000,))
    memory.add((centers[label] + torch.randn(2000, 8)).to(device), label.to(device))
    truth = torch.randint(5, (300,))
    x = (centers[truth] + torch.randn(300, 8)).to(device)
    graph = anchor_graph(x, memory, k=10)
    edges = graph["anchor", "tells", "pixel"]
    weight = random_walk_norm(edges.edge_index, edges.edge_weight, 300)
    vote = propagate(edges.edge_index, weight, torch.eye(5, device=device)[memory.label], 300)
    assert (vote.argmax(1).cpu() == truth).float().mean() > 0.95
    assert (graph["anchor"].num_nodes, graph["pixel"].num_nodes) == (len(memory), 300)
    assert graph.validate()


def test_the_nearest_anchor_weighs_one_and_others_by_their_distance():
    memory = AnchorMemory(1, 1, budget=3)
    memory.add(torch.tensor([[1.0], [2.0], [4.0]]), torch.zeros(3).long())
    graph = anchor_graph(torch.tensor([[0.0]]), memory, k=10**12, temperature=10.0)
    expected = torch.exp(-torch.tensor([0.0, 3.0, 15.0]) / 10)
    assert torch.allclose(graph["anchor", "pixel"].edge_weight, expected)


def test_evidence_does_not_count_how_many_anchors_a_class_has():
    x, label = torch.tensor([[0.0]] * 9 + [[1.0]]), torch.tensor([0] * 9 + [1])
    memory = AnchorMemory(2, 1, budget=20)
    memory.add(x, label)
    graph = anchor_graph(torch.tensor([[0.5], [0.0]]), memory, k=10, temperature=0.5)
    evidence = anchor_evidence(graph, memory.label, num_classes=2)
    certain = math.exp(2)
    assert torch.allclose(evidence[0], torch.tensor([0.51, 0.51]).log(), atol=1e-5)
    shares = torch.tensor([certain, 1.0]) / (certain + 1)
    assert torch.allclose(evidence[1], (0.01 + shares).log(), atol=1e-5)


def test_of_classes_without_anchors_evidence_says_nothing():
    memory = AnchorMemory(4, 1, budget=8)
    memory.add(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]))
    graph = anchor_graph(torch.tensor([[0.5], [0.0]]), memory, k=2, temperature=0.1)
    evidence = anchor_evidence(graph, memory.label, num_classes=4)
    assert torch.allclose(evidence[0], torch.full((4,), 0.51).log(), atol=1e-5)
    assert torch.allclose(evidence[1, 2:], torch.full((2,), 0.51).log(), atol=1e-5)
    assert evidence[1, 0] > evidence[1, 2] > evidence[1, 1]


def test_without_anchors_in_reach_there_is_no_evidence():
    memory = AnchorMemory(2, 1, budget=4)
    memory.add(torch.zeros(2, 1), torch.tensor([0, 1]), 7)
    graph = anchor_graph(torch.zeros(3, 1), memory, image=torch.tensor([7, 8, 7]))
    evidence = anchor_evidence(graph, memory.label, num_classes=2)
    assert not evidence[[0, 2]].any() and evidence[1].all()


@pytest.mark.parametrize("search", [ExactSearch, partial(IVFSearch, nlist=2, nprobe=2)])
def test_an_images_own_nodes_are_hidden_from_it(search):
    memory = AnchorMemory(1, 2, budget=30, search=search)
    x, label = torch.randn(10, 2), torch.zeros(10).long()
    for number in range(3):
        memory.add(x + number, label, number)
    assert torch.bincount(memory.image).tolist() == [10, 10, 10]
    image = torch.tensor([0] * 10 + [1] * 10)
    found = memory.nearest(torch.cat([x, x + 1]), 4, image)
    assert (memory.image[found.indices] != image[:, None]).all()
    others = torch.cat([x + 1, x + 2])  # what the first image may find
    nearest = -torch.cdist(x, others).square().min(1).values
    assert torch.allclose(found.similarity[:10, 0], nearest, atol=1e-5)
    alone = memory.nearest(x, 25, image[:10])
    assert ((alone.indices >= 0).sum(1) == 20).all()  # the rest is missing
    graph = anchor_graph(x, memory, 25, image=image[:10])
    edges = graph["anchor", "tells", "pixel"]
    assert edges.edge_index.size(1) == 200 and edges.edge_weight.isfinite().all()


def test_joined_features_weigh_the_distances_of_the_single_maps():
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4, 5)
    joined = join_features([a, b], weights=[2.0, 0.5])
    unit = [m / m.norm(dim=1, keepdim=True) for m in (a, b)]

    def distance(m):
        return (m[0, :, 0, 0] - m[1, :, 2, 3]).square().sum()

    assert torch.allclose(distance(joined), 2 * distance(unit[0]) + 0.5 * distance(unit[1]))
    assert join_features([a, torch.randn(2, 6, 8, 9)]).shape == (2, 9, 4, 5)
    wide = torch.randn(2, 1, 8, 9)
    assert torch.equal(join_features([a], size=(8, 9)), join_features([wide, a])[:, 1:])


def test_bad_input_is_refused():
    memory = AnchorMemory(2, 4, budget=20)
    with pytest.raises(ValueError, match="memory with nodes, got an empty one"):
        anchor_graph(torch.zeros(3, 4), memory)
    with pytest.raises(ValueError, match="labels from 0 to 1, got 0 to 255"):
        memory.add(torch.zeros(2, 4), torch.tensor([0, 255]))
    with pytest.raises(ValueError, match=r"features \(N, 4\), got \(2, 3\)"):
        memory.add(torch.zeros(2, 3), torch.zeros(2).long())
    with pytest.raises(ValueError, match="weight of 0 or more for each, got 1 maps"):
        join_features([torch.zeros(1, 2, 3, 3)], [1.0, 2.0])
