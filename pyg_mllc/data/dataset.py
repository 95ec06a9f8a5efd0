"""Image files, with or without mask files, as samples."""

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
    """Decoded, unaugmented samples of one size, from files.

    Each image is scaled to fit inside the size with its aspect ratio kept, and padded at the right
    or the bottom: the image with 0, the label with `IGNORE`.

    Args:
        images: Image files.
        masks: Their mask files in the same order, or None for unlabeled images: then no mask is
            read and none need exist.
        spec: Classes and void ids of the masks.
        size: Height and width (H, W) of every sample.
        cache: Folder to keep decoded samples in, see `SampleCache`; by default they are not kept.
        exif: How masks lie over photos that EXIF turns, ``turn`` or ``stored``, see `resolve_exif`.

    Raises:
        InputError: If there are not as many masks as images, or the size is not positive. Reading a
            sample raises it for a file that is no image, for a mask of another size than its image
            and for ids that the spec does not know.
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
        self.size = check_size(size)
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
        """Image, and label or where the image is, uint8 (3 + 1, H, W)."""
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
        """Return the EXIF orientation to turn a mask by, None for the mask's own."""
        return mask_orientation(self.images[index], self.exif)

    def _label(
        self, picture: Image.Image, index: int, mask_path: Path, box: tuple[int, int]
    ) -> np.ndarray:
        ids = read_mask(mask_path, self.spec, self.mask_orientation(index))
        if ids.shape != (picture.height, picture.width):
            path = self.images[index]
            turned = (
                read_stored_size(path).orientation >= 5
                or read_stored_size(mask_path).orientation >= 5
            )
            raise InputError(
                f"{mask_path} is {ids.shape[0]} x {ids.shape[1]} pixels (height x width), but its "
                f"image {path} is {picture.height} x {picture.width}: give the mask that size"
                + (f", or exif= another value than {self.exif}." if turned else ".")
            )
        mask = Image.fromarray(ids.astype(np.uint8))
        return letterbox(mask, box, nearest=True, fill=IGNORE)


class OriginalSizeDataset(SegmentationDataset):
    """The samples of a data set at the sizes that their files have, so in batches of one.

    Args:
        dataset: Its files.
    """

    def __init__(self, dataset: SegmentationDataset) -> None:
        super().__init__(
            dataset.images, dataset.masks, dataset.spec, dataset.size, exif=dataset.exif
        )

    def _boxed(self, picture: Image.Image) -> tuple[int, int]:
        return picture.height, picture.width
