"""Specs of the supported published data sets."""

from dataclasses import replace

from pyg_mllc.data.spec import DatasetSpec, Protocol
from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE, Color

_CAMVID_COLORS: dict[str, Color] = {
    "animal": (64, 128, 64),
    "archway": (192, 0, 128),
    "bicyclist": (0, 128, 192),
    "bridge": (0, 128, 64),
    "building": (128, 0, 0),
    "car": (64, 0, 128),
    "cart, luggage, pram": (64, 0, 192),
    "child": (192, 128, 64),
    "column, pole": (192, 192, 128),
    "fence": (64, 64, 128),
    "lane markings, driving": (128, 0, 192),
    "lane markings, other": (192, 0, 64),
    "text": (128, 128, 64),
    "motorcycle, scooter": (192, 0, 192),
    "other moving": (128, 64, 64),
    "parking block": (64, 192, 128),
    "pedestrian": (64, 64, 0),
    "road": (128, 64, 128),
    "road shoulder": (128, 128, 192),
    "sidewalk": (0, 0, 192),
    "sign": (192, 128, 128),
    "sky": (128, 128, 128),
    "SUV, pickup truck": (64, 128, 192),
    "traffic cone": (0, 0, 64),
    "traffic light": (0, 64, 64),
    "train": (192, 64, 128),
    "tree": (128, 128, 0),
    "truck, bus": (192, 128, 192),
    "tunnel": (64, 0, 64),
    "other vegetation": (192, 192, 0),
    "wall": (64, 192, 0),
}

# The 11 classes, their colors in figures, and which of the 31 they join.
_CAMVID: dict[str, tuple[Color, tuple[str, ...]]] = {
    "sky": ((128, 128, 128), ("sky",)),
    "building": ((128, 0, 0), ("building", "archway", "bridge", "tunnel", "wall")),
    "pole": ((192, 192, 128), ("column, pole", "traffic cone")),
    "road": ((128, 64, 128), ("road", "lane markings, driving", "lane markings, other")),
    "pavement": ((60, 40, 222), ("sidewalk", "parking block", "road shoulder")),
    "tree": ((128, 128, 0), ("tree", "other vegetation")),
    "sign": ((192, 128, 128), ("sign", "text", "traffic light")),
    "fence": ((64, 64, 128), ("fence",)),
    "car": ((64, 0, 128), ("car", "SUV, pickup truck", "truck, bus", "train", "other moving")),
    "pedestrian": ((64, 64, 0), ("pedestrian", "animal", "cart, luggage, pram", "child")),
    "bicyclist": ((0, 128, 192), ("bicyclist", "motorcycle, scooter")),
}

CAMVID = DatasetSpec(
    name="camvid",
    classes=tuple(_CAMVID),
    colors=tuple(color for color, _ in _CAMVID.values()),
    images="{split}",
    masks="{split}annot",
    void=(11, (0, 0, 0)),
    codes={
        _CAMVID_COLORS[part]: label
        for label, (_, parts) in enumerate(_CAMVID.values())
        for part in parts
    },
)

# The same classes, out of the masks in 32 colors that are published beside the video frames.
CAMVID_COLORS = replace(CAMVID, name="camvid_colors", masks="{split}_labels", mask_suffix="_L")

CAMVID32 = replace(
    CAMVID_COLORS,
    name="camvid32",
    classes=tuple(_CAMVID_COLORS),
    colors=tuple(_CAMVID_COLORS.values()),
    void=(31, IGNORE, (0, 0, 0)),
    codes={},
)


def voc_color(index: int) -> Color:
    """Compute the color of an id in PASCAL VOC.

    The bits of the id go to red, green and blue in turn, to the highest bits first.

    Args:
        index: Id, 0 to 255.

    Returns:
        Red, green and blue.

    Example:
        >>> [voc_color(index) for index in (0, 1, 15)]
        [(0, 0, 0), (128, 0, 0), (192, 128, 128)]
    """
    red, green, blue = (
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
        for channel in range(3)
    )
    return red, green, blue


_VOC_CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
)

_CLASSIC = (92, 183, 366, 732, 1464)

VOC = DatasetSpec(
    name="voc",
    classes=tuple(_VOC_CLASSES.split()),
    colors=tuple(voc_color(index) for index in range(21)),
    images="JPEGImages",
    masks="SegmentationClass",
    listing="ImageSets/Segmentation/{split}.txt",
    void=(IGNORE, (224, 224, 192)),
    protocols={str(n): Protocol(n, of=1464) for n in _CLASSIC},
)

_SHARES = {"1_50": 212, "1_20": 530, "1_16": 662, "1_8": 1323, "1_4": 2646, "1_2": 5291}

VOC_AUG = replace(
    VOC,
    name="voc_aug",
    masks="SegmentationClassAug",
    train="trainaug",
    fine="train",
    protocols={
        **{str(n): Protocol(n, of=10_582, fine="only") for n in _CLASSIC},
        **{name: Protocol(n, of=10_582) for name, n in _SHARES.items()},
        **{
            f"u2pl_{name}": Protocol(_SHARES[name], of=10_582, fine="first")
            for name in ("1_16", "1_8", "1_4")
        },
    },
)

# Class -> its id in the masks as published, and its color.
_CITYSCAPES: dict[str, tuple[int, Color]] = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}

CITYSCAPES = DatasetSpec(
    name="cityscapes",
    classes=tuple(_CITYSCAPES),
    colors=tuple(color for _, color in _CITYSCAPES.values()),
    images="leftImg8bit/{split}",
    masks="gtFine/{split}",
    void=(*range(7), 9, 10, 14, 15, 16, 18, 29, 30, IGNORE),
    codes={code: label for label, (code, _) in enumerate(_CITYSCAPES.values())},
    image_suffix="_leftImg8bit",
    mask_suffix="_gtFine_labelIds",
    protocols={
        name: Protocol(n, of=2975)
        for name, n in {"1_30": 100, "1_16": 186, "1_8": 372, "1_4": 744, "1_2": 1488}.items()
    },
)

CITYSCAPES_TRAIN_IDS = replace(
    CITYSCAPES,
    name="cityscapes_train_ids",
    void=(IGNORE,),
    codes={},
    mask_suffix="_gtFine_labelTrainIds",
)

SPECS = {
    spec.name: spec
    for spec in (
        VOC,
        VOC_AUG,
        CITYSCAPES,
        CITYSCAPES_TRAIN_IDS,
        CAMVID,
        CAMVID_COLORS,
        CAMVID32,
    )
}


def get_spec(name: str | DatasetSpec) -> DatasetSpec:
    """Return the spec of a data set by its name.

    Args:
        name: Key of `SPECS`; a spec is returned unchanged.

    Returns:
        Spec of the data set.

    Raises:
        InputError: If the name is unknown.
    """
    if isinstance(name, DatasetSpec):
        return name
    if name not in SPECS:
        raise InputError(
            f"data.spec={name} is none of {', '.join(SPECS)}: for images and masks of your own "
            "pass data=folder."
        )
    return SPECS[name]
