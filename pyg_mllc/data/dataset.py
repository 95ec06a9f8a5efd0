"""Data sets of image files, with or without mask files."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pyg_mllc.data.base import Sample, SampleSet
from pyg_mllc.data.cache import SampleCache
from pyg_mllc.data.exif import mask_orientation
from pyg_mllc.data.image_file import read_stored_size
from pyg_mllc.data.image_io import fitted_size, letterbox, read_image
from pyg_mllc.data.mask_io import read_mask
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.validation import check_index, check_size


class SegmentationDataset(SampleSet):
    """Decoded samples of one size from files, without augmentation.

    Each image is scaled to fit inside the size and keeps its aspect ratio. It is padded at the
    right or the bottom: the image with 0, the label with `IGNORE`.

    Args:
        images: Image files.
        masks: Mask files in the same order; None for unlabeled images, whose masks are not read.
        spec: Classes and void ids of the masks.
        size: Height and width (H, W) of every sample.
        cache: Folder of decoded samples, see `SampleCache`; None caches nothing.
        exif: How masks lie over photos that EXIF rotates, ``turn`` or ``stored``, see
            `resolve_exif`.

    Raises:
        InputError: If there are not as many masks as images, or the size is not positive. Reading a
            sample raises it if a file is no image, a mask has another size than its image, or the
            spec does not know an id.
    """

    def __init__(
        self,
        images: Sequence[str | Path],
        masks: Sequence[str | Path] | None,
        spec: DatasetSpec,
        size: tuple[int, int],
        cache: str | Path | None = None,
        exif: str = "turn",
    ) -> None:
        if masks is not None and len(masks) != len(images):
            raise InputError(
                f"There are {len(images)} images and {len(masks)} masks: give one mask per image, "
                "or None for unlabeled images."
            )
        self.images = [Path(path) for path in images]
        self.masks = None if masks is None else [Path(path) for path in masks]
        self.spec = spec
        self.size = check_size("data.size", size)
        self.cache = None if cache is None else SampleCache(cache)
        self.exif = exif
        self._meaning = "valid" if masks is None else f"{spec.ids} {spec.palette} {exif}"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        index = check_index(index, len(self))
        make = partial(self._decode, index)
        files = [paths[index] for paths in (self.images, self.masks) if paths]
        shape = (4, *self.size)
        planes = self.cache.get(files, self._meaning, shape, make) if self.cache else make()
        sample: Sample = {
            "image": torch.from_numpy(np.array(planes[:3])),
            "name": self.images[index].stem,
        }
        if self.masks is None:
            sample["valid"] = torch.from_numpy(planes[3].astype(bool))
        else:
            sample["label"] = torch.from_numpy(planes[3].astype(np.int64))
        return sample

    def _decode(self, index: int) -> np.ndarray:
        """Return the image, and the label or the mask of valid pixels, uint8 (3 + 1, H, W)."""
        path = self.images[index]
        picture = read_image(path)
        box = self._boxed(picture)
        boxed = letterbox(picture, box, nearest=False, fill=0)
        if self.masks is None:
            height, width = fitted_size(picture.height, picture.width, box)
            last = np.zeros(box, dtype=np.uint8)
            last[:height, :width] = 1
        else:
            last = self._label(picture, index, self.masks[index], box)
        # (H, W, 3) -> (3, H, W), and (H, W) below
        return np.concatenate([boxed.transpose(2, 0, 1), last[None]])

    def _boxed(self, picture: Image.Image) -> tuple[int, int]:
        return self.size

    def mask_orientation(self, index: int) -> int | None:
        """Return the EXIF orientation of the mask of a sample; None for the mask's own."""
        return mask_orientation(self.images[index], self.exif)

    def _label(
        self, picture: Image.Image, index: int, mask_path: Path, box: tuple[int, int]
    ) -> np.ndarray:
        ids = read_mask(mask_path, self.spec, self.mask_orientation(index))
        if ids.shape != (picture.height, picture.width):
            path = self.images[index]
            transposed = max(read_stored_size(p).orientation for p in (path, mask_path)) >= 5
            raise InputError(
                f"{mask_path} is {ids.shape[0]} x {ids.shape[1]} pixels (height x width), but its "
                f"image {path} is {picture.height} x {picture.width}: give the mask that size"
                + (f", or exif= another value than {self.exif}." if transposed else ".")
            )
        mask = Image.fromarray(ids.astype(np.uint8))
        return letterbox(mask, box, nearest=True, fill=IGNORE)


class OriginalSizeDataset(SegmentationDataset):
    """Samples of a data set at the sizes of their files, for batches of one.

    Args:
        dataset: Data set of one size.
    """

    def __init__(self, dataset: SegmentationDataset) -> None:
        super().__init__(
            dataset.images, dataset.masks, dataset.spec, dataset.size, exif=dataset.exif
        )

    def _boxed(self, picture: Image.Image) -> tuple[int, int]:
        return picture.height, picture.width
