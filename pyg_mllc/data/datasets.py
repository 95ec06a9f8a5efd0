"""Published data sets, read from the user's own copy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyg_mllc.data.builtin_specs import get_spec
from pyg_mllc.data.file_pairs import find_dataset_files
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.data.splits import Splits, make_splits


def load_dataset(
    spec: str | DatasetSpec,
    root: str | Path | None,
    labeled: int,
    size: tuple[int, int],
    classes: Sequence[str] | None = None,
    **options: Any,
) -> Splits:
    """Load the splits of a published data set.

    Args:
        spec: Name of the data set, a key of `SPECS` such as ``"voc"`` or ``"camvid"``; or its spec.
        root: Folder of the data set, with the layout of the spec. For VOC that is ``VOC2012/``;
            for CamVid, the folder of the SegNet tutorial.
        labeled: Number of labeled images, drawn from the training images that have a mask.
        size: Height and width (H, W) of every sample.
        classes: Names of the classes to learn; all others become void. None takes all.
        **options: Options of `make_splits`: seed, unlabeled, val, partition, balanced, overlap,
            cache, exif.

    Returns:
        Labeled, unlabeled and validation samples.

    Raises:
        InputError: If an option cannot be met or files are missing.

    Example:
        >>> splits = load_dataset("voc", "VOC2012", labeled=92, size=(192, 192))  # doctest: +SKIP
    """
    layout = get_spec(spec)
    if classes is not None:
        layout = layout.only(classes)
    return make_splits(find_dataset_files(layout, root), labeled, size, **options)
