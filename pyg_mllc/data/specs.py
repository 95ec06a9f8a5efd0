"""What the files of a data set look like: classes, colors, folders, void ids."""

from dataclasses import dataclass

from pyg_mllc.errors import InputError

IGNORE = 255
"""Label of the pixels that no loss and no metric counts: void and padding."""


@dataclass(frozen=True)
class DatasetSpec:
    """Names, colors and file layout of one data set.

    The layout is relative to the root folder, with ``{split}`` for ``train`` or ``val``. An image
    and its mask share their file name up to the suffix.

    Args:
        name: What the data set is called in messages and file names.
        classes: One name per class; the position is the id in the masks.
        colors: One RGB color per class, each channel 0-255.
        images: Folder of the images.
        masks: Folder of the masks.
        listing: Text file with one image name per line; empty where a split is its whole folder.
        void: Mask ids that are read as `IGNORE`.

    Raises:
        InputError: If the colors do not match the classes, or an id would collide with `IGNORE`.

    Example:
        >>> CAMVID.num_classes, CAMVID.classes[3], CAMVID.colors[3]
        (11, 'road', (128, 64, 128))
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    images: str = ""
    masks: str = ""
    listing: str = ""
    void: tuple[int, ...] = (IGNORE,)

    def __post_init__(self) -> None:
        if len(self.colors) != len(self.classes):
            raise InputError(
                f"The spec {self.name!r} has {len(self.classes)} classes and {len(self.colors)} "
                "colors: give one color per class."
            )
        if len(self.classes) > IGNORE:
            raise InputError(
                f"The spec {self.name!r} has {len(self.classes)} classes, but the id {IGNORE} "
                f"means void: merge classes until at most {IGNORE} are left."
            )

    @property
    def num_classes(self) -> int:
        """Number of classes C, without void."""
        return len(self.classes)


CAMVID = DatasetSpec(
    name="camvid",
    classes=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    colors=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    images="{split}",
    masks="{split}annot",
    void=(11,),
)


def voc_color(index: int) -> tuple[int, int, int]:
    """Color of a VOC id: its bits dealt to red, green and blue in turn, highest bit first."""
    red, green, blue = (
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
        for channel in range(3)
    )
    return red, green, blue


_VOC_CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
)

VOC = DatasetSpec(
    name="voc",
    classes=tuple(_VOC_CLASSES.split()),
    colors=tuple(voc_color(index) for index in range(21)),
    images="JPEGImages",
    masks="SegmentationClass",
    listing="ImageSets/Segmentation/{split}.txt",
)
