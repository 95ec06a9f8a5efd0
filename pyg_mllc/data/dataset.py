"""Image files, with or without mask files, as samples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pyg_mllc.data.decoding import fitted_size, letterbox, read_image, read_mask
from pyg_mllc.data.samples import Sample, SampleSet, check_index, check_size
from pyg_mllc.data.specs import IGNORE, DatasetSpec
from pyg_mllc.errors import InputError


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

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        index = check_index(index, len(self))
        path = self.images[index]
        picture = read_image(path)
        boxed = letterbox(picture, self._boxed(picture), nearest=False, fill=0)
        sample: Sample = {
            "image": torch.from_numpy(boxed)
            .permute(2, 0, 1)
            .contiguous(),  # (H, W, 3) -> (3, H, W)
            "name": path.stem,
        }
        if self.masks is None:
            sample["valid"] = self._valid(picture)
        else:
            sample["label"] = self._label(picture, path, self.masks[index])
        return sample

    def _boxed(self, picture: Image.Image) -> tuple[int, int]:
        return self.size

    def _valid(self, picture: Image.Image) -> Tensor:
        box = self._boxed(picture)
        height, width = fitted_size(picture.height, picture.width, box)
        valid = torch.zeros(box, dtype=torch.bool)
        valid[:height, :width] = True
        return valid

    def _label(self, picture: Image.Image, path: Path, mask_path: Path) -> Tensor:
        ids = read_mask(mask_path, self.spec)
        if ids.shape != (picture.height, picture.width):
            raise InputError(
                f"{mask_path} is {ids.shape[0]} x {ids.shape[1]} pixels (height x width), but its "
                f"image {path} is {picture.height} x {picture.width}: give the mask that size."
            )
        boxed = letterbox(Image.fromarray(ids), self._boxed(picture), nearest=True, fill=IGNORE)
        return torch.from_numpy(boxed.astype(np.int64))


class OwnSizes(SegmentationDataset):
    """The samples of a data set at the sizes that their files have, so in batches of one.

    Args:
        dataset: Its files.
    """

    def __init__(self, dataset: SegmentationDataset) -> None:
        super().__init__(dataset.images, dataset.masks, dataset.spec, dataset.size)

    def _boxed(self, picture: Image.Image) -> tuple[int, int]:
        return picture.height, picture.width
