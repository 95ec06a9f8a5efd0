"""Data sets whose validation split is a part of the training images.

Searches are scored on this part, so that the validation split stays unseen.
"""

from collections import defaultdict
from pathlib import Path

from pyg_mllc.utils.io import atomic_open

FOLDER = Path("outputs/held_out")


def held_out(name: str, source: Path) -> Path:
    """Build a data set whose `val` is a part of its training images, and `train` the rest.

    Args:
        name: `camvid`, where the last fifth of each video is held out, or `voc`, where every fifth
            image is.
        source: where the data set lies.

    Returns:
        Root folder of the data set.
    """
    make = {"camvid": _hold_out_frames, "voc": _hold_out_photographs}
    if name not in make:
        raise SystemExit(f"of {name} no training images are held out, only of {', '.join(make)}")
    return make[name](source, FOLDER / name)


def _hold_out_frames(source: Path, target: Path) -> Path:
    videos = defaultdict(list)
    for image in sorted((source / "train").iterdir()):
        videos[image.name.split("_")[0]].append(image)
    for images in videos.values():
        for number, image in enumerate(images):
            split = "val" if number >= 0.8 * len(images) else "train"
            [mask] = (source / "trainannot").glob(f"{image.stem}.*")
            for file, folder in ((image, split), (mask, f"{split}annot")):
                _link(target / folder / file.name, file)
    return target


def _hold_out_photographs(source: Path, target: Path) -> Path:
    lists = Path("ImageSets/Segmentation")
    (target / lists).mkdir(parents=True, exist_ok=True)
    for folder in ("JPEGImages", "SegmentationClass"):
        _link(target / folder, source / folder)
    names = (source / lists / "train.txt").read_text().split()
    rest = [name for i, name in enumerate(names) if i % 5]
    for split, chosen in (("val", names[::5]), ("train", rest)):
        _write(target / lists / f"{split}.txt", "\n".join(chosen))
    return target


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return  # another search may be reading it
    with atomic_open(path) as file:
        file.write(text.encode())


def _link(link: Path, file: Path) -> None:
    if link.is_symlink() and link.resolve() == file.resolve():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(file.resolve())
