import numpy as np
import pytest
from PIL import Image

from pyg_mllc.data import DatasetSpec, SegmentationDataset, Splits, textures
from pyg_mllc.data.sanity_check import find_sample_problems, inspect_samples

SPEC = DatasetSpec("two", ("a", "b"), ((10, 0, 0), (0, 10, 0)))


class Files:
    """Images of noise with masks of class 1, until a test spoils them."""

    def __init__(self, folder):
        self.folder = folder
        self.rng = np.random.default_rng(0)

    def add(self, name, mask=1, size=(20, 30), image=None):
        if image is None:
            image = self.rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(image).save(self.folder / f"{name}.png")
        Image.fromarray(np.full(size, mask, dtype=np.uint8)).save(self.folder / f"{name}_m.png")
        return image

    def splits(self, labeled, unlabeled="", val=""):
        def part(names, masks=True):
            images = [self.folder / f"{name}.png" for name in names]
            labels = [self.folder / f"{name}_m.png" for name in names] if masks else None
            return SegmentationDataset(images, labels, SPEC, (20, 30))

        return Splits(SPEC, part(labeled), part(unlabeled, False), part(val))


@pytest.fixture
def files(tmp_path):
    files = Files(tmp_path)
    for name in "abcde":
        files.add(name)
    return files


def check(splits, overlap=False):
    return find_sample_problems(list(inspect_samples(splits)), (20, 30), overlap)


def test_a_sound_set_has_no_problems(files):
    splits = files.splits("ab", "cd", "e")
    assert check(splits) == ({}, [])
    seen = list(inspect_samples(splits))
    assert [one.part for one in seen] == [*["labeled"] * 2, *["unlabeled"] * 2, "val"]
    assert all(one.size == (20, 30) for one in seen)
    assert seen[0].pixels.tolist() == [0, 600] and seen[2].pixels is None


def test_textures_can_be_checked():
    found, notes = check(textures(labeled=3, unlabeled=2, val=1, size=(20, 30)))
    assert not found and not notes


@pytest.mark.parametrize(
    "spoil, kind",
    [
        (lambda f: (f / "a.png").write_bytes(b""), "images that cannot be read"),
        (lambda f: (f / "a.png").unlink(), "images that cannot be read"),
        (lambda f: (f / "a_m.png").write_bytes((f / "a_m.png").read_bytes()[:45]),
         "masks that cannot be read"),
        (lambda f: Image.new("L", (30, 20), 7).save(f / "a_m.png"),
         "masks with ids or colors that mean nothing"),
        (lambda f: Image.new("RGB", (30, 20), (10, 0, 1)).save(f / "a_m.png"),
         "masks with ids or colors that mean nothing"),
        (lambda f: Image.new("L", (20, 30)).save(f / "a_m.png"),
         "masks of another size than their image"),
        (lambda f: Image.new("L", (30, 20), 255).save(f / "a_m.png"),
         "masks that are void all over"),
    ],
)  # fmt: skip
def test_each_kind_of_problem_is_named_with_its_file(files, spoil, kind):
    spoil(files.folder)
    found, _ = check(files.splits("ab", "cd", "e"))
    assert list(found) == [kind]
    assert len(found[kind]) == 1 and str(files.folder / "a") in found[kind][0]


def test_broken_unlabeled_and_validation_images_are_found(files):
    for name in "de":
        (files.folder / f"{name}.png").write_bytes(b"no image")
    found, _ = check(files.splits("ab", "cd", "e"))
    assert len(found["images that cannot be read"]) == 2


@pytest.mark.parametrize(
    "parts, kind",
    [
        (("ax", "c", "b"), None),
        (("a", "xc", "b"), "images in two sets"),
        (("a", "c", "bx"), "labeled images in the validation set"),
        (("b", "ac", "x"), "images in two sets"),
    ],
)
def test_copies_of_an_image_are_found_whatever_their_names(files, parts, kind):
    image = np.asarray(Image.open(files.folder / "a.png"))
    files.add("x", image=image)
    Image.fromarray(image).save(files.folder / "x.png", compress_level=1)  # other bytes
    found, notes = check(files.splits(*parts))
    assert list(found) == ([kind] if kind else [])
    assert len(notes) == (kind is None)


def test_an_overlap_that_was_asked_for_is_no_problem(files):
    assert check(files.splits("ab", "abc", "e"), overlap=True)[0] == {}
    found, _ = check(files.splits("ab", "abc", "c"), overlap=True)
    assert list(found) == ["images in two sets"] and len(found["images in two sets"]) == 1


def test_slivers_are_told(files):
    files.add("long", size=(10, 2000))
    found, notes = check(files.splits("a", ["long"], "e"))
    assert not found and "10 x 2000 pixels (height x width), is scaled to 1 x 30" in notes[0]


def test_what_files_say_beside_their_pixels_is_a_problem(tmp_path):
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    spec = DatasetSpec("two", ("a", "b"), ((0, 0, 0), (255, 0, 0)))
    files = {"image": tmp_path / "image.tif", "mask": tmp_path / "mask.png"}
    more = [Image.fromarray(pixels)]
    Image.fromarray(pixels).save(files["image"], save_all=True, append_images=more)
    Image.fromarray(np.ones((4, 5), dtype=np.uint8)).save(files["mask"])
    dataset = SegmentationDataset([files["image"]], [files["mask"]], spec, (4, 5))
    splits = Splits(spec, dataset, dataset, dataset)
    found, _ = find_sample_problems(list(inspect_samples(splits)), (4, 5))
    assert "holds 2 pictures" in found["images that cannot be read"][0]
    Image.fromarray(pixels).save(files["image"])
    mask = Image.fromarray(np.ones((4, 5), dtype=np.uint8)).convert("LA")
    mask.putalpha(Image.fromarray(pixels[..., 0]))
    mask.save(files["mask"])
    found, _ = find_sample_problems(list(inspect_samples(splits)), (4, 5))
    assert "has transparent pixels" in found["masks that cannot be read"][0]
