"""What the files of a data set look like: classes, what masks store, folders, partitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE, Color


@dataclass(frozen=True)
class Protocol:
    """How many images of a data set are labeled in a published comparison.

    Args:
        labeled: Number of labeled images.
        of: Number of training images, the labeled ones included.
        fine: Where the labeled ones come from: ``only`` from the images of the spec's ``fine``
            list, from these ``first``, or, if empty, from all alike.
    """

    labeled: int
    of: int
    fine: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """Names, colors and file layout of one data set.

    The layout is relative to the root folder, with ``{split}`` for the training or the validation
    split. An image and its mask share their path inside these folders, but for suffixes.

    Args:
        name: What the data set is called in messages and file names.
        classes: One name per class; the position is the class.
        colors: One RGB color per class, each channel 0-255.
        images: Folder of the images.
        masks: Folder of the masks.
        listing: Text file with one image name per line; empty where a split is its whole folder.
        void: What masks store where there is no class: ids, and colors of masks in color.
        codes: What masks store for a class where that is not the class's position, or, in masks in
            color, not its color: stored id or color -> class. Several may mean the same class.
        image_suffix: What follows the common part in the names of images, before ``.jpg``.
        mask_suffix: The same of masks.
        assumes_void: Whether `IGNORE` means void only because nobody has said what it means.
        train: Name of the training split.
        fine: Name of the list of the training images with the finest masks, if there is one.
        protocols: Published numbers of labeled images, by name.
        has_colors: Whether masks may hold the colors; without, these serve pictures alone.

    Raises:
        InputError: If the colors do not match the classes, or an id would collide with `IGNORE`.

    Example:
        >>> spec = DatasetSpec("two", ("a", "b"), ((9, 9, 9), (5, 5, 5)), codes={7: 0, 8: 1, 9: 1})
        >>> spec.num_classes, spec.ids, spec.palette
        (2, {7: 0, 8: 1, 9: 1, 255: 255}, {(9, 9, 9): 0, (5, 5, 5): 1})
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[Color, ...]
    images: str = ""
    masks: str = ""
    listing: str = ""
    void: tuple[int | Color, ...] = (IGNORE,)
    codes: Mapping[int | Color, int] = field(default_factory=dict, hash=False)
    image_suffix: str = ""
    mask_suffix: str = ""
    assumes_void: bool = False
    train: str = "train"
    fine: str = ""
    protocols: Mapping[str, Protocol] = field(default_factory=dict, hash=False, repr=False)
    has_colors: bool = True

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

    @property
    def ids(self) -> dict[int, int]:
        """Stored id -> class or `IGNORE`, of masks with one channel."""
        given = {code: label for code, label in self.codes.items() if isinstance(code, int)}
        void = {code: IGNORE for code in self.void if isinstance(code, int)}
        return (given or {label: label for label in range(self.num_classes)}) | void

    @property
    def palette(self) -> dict[Color, int]:
        """Color -> class or `IGNORE`, of masks in color."""
        given = {code: label for code, label in self.codes.items() if isinstance(code, tuple)}
        void = {code: IGNORE for code in self.void if isinstance(code, tuple)}
        shown = self.colors if self.has_colors else ()
        return (given or {color: label for label, color in enumerate(shown)}) | void

    def only(self, classes: Sequence[str]) -> "DatasetSpec":
        """The same files with some of the classes, in the order given; the others become void.

        Args:
            classes: Names of the classes to keep.

        Raises:
            InputError: If there is no class of a name, one is named twice, or only one is.

        Example:
            >>> spec = DatasetSpec("three", ("a", "b", "c"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
            >>> spec.only(["c", "a"]).ids
            {0: 1, 2: 0, 255: 255, 1: 255}
        """
        classes = [classes] if isinstance(classes, str) else list(classes)
        unknown = [name for name in classes if name not in self.classes]
        if unknown or not classes or len(set(classes)) < len(classes):
            raise InputError(
                f"data.classes={classes} should be some of {', '.join(self.classes)}, each "
                "named once."
            )
        if len(classes) == 1:
            raise InputError(
                f"data.classes={classes} is only the class {classes[0]!r}, and at least "
                "two are needed: name what is around it, too."
            )
        stored = {
            code: label for code, label in (self.ids | self.palette).items() if label != IGNORE
        }
        place = {self.classes.index(name): new for new, name in enumerate(classes)}
        return replace(
            self,
            classes=tuple(classes),
            colors=tuple(self.colors[old] for old in place),
            codes={code: place[label] for code, label in stored.items() if label in place},
            void=(*self.void, *(code for code, label in stored.items() if label not in place)),
        )
