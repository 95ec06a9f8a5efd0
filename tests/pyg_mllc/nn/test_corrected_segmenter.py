import pytest
import torch

from pyg_mllc.nn import CorrectedSegmenter, CorrectionMemory, LabelCorrector, Segmenter
from pyg_mllc.utils.resize import joint_bilateral_upsampling, upsample


def network(feature_stride=8, **options):
    torch.manual_seed(0)
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16, feature_stride=feature_stride)
    return CorrectedSegmenter(segmenter, LabelCorrector(3, k=4, **options)).eval()


@pytest.mark.parametrize("feature_stride", [8, 16])
def test_an_edge_aware_change_is_brought_to_the_images_size(feature_stride):
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        plain, aware = (network(feature_stride, edge_aware=edges) for edges in (False, True))
        expected, output = plain(images), aware(images)
        again = aware.correct(aware.segmenter(images))  # without images it is as ever
    size = expected.before.features.shape[-2:]
    enlarge = joint_bilateral_upsampling(images, size)
    before = expected.before.logits
    assert torch.equal(output.before.logits, before)
    coarse = torch.nn.functional.interpolate(before, size, mode="area")
    corrected = plain.corrector(coarse, expected.before.features)
    for after, small, bilinear in zip(output.rounds, corrected.rounds, again.rounds, strict=True):
        full = upsample(before, (64, 96)) + enlarge(small.logits - coarse)
        assert torch.allclose(after.logits, full, atol=1e-5)
        assert after.features.shape == small.features.shape
        assert bilinear.logits.shape == before.shape
    for one, other in zip(again, expected, strict=True):
        assert torch.equal(one.logits, other.logits)


def test_a_memory_goes_with_edges():
    aware = network(edge_aware=True)
    memory = CorrectionMemory(aware.segmenter, aware.corrector, class_thresholds="fixed")
    images = torch.rand(1, 3, 64, 96)
    assert aware(images, memory).logits.shape == (1, 3, 64, 96)
