"""Specification of a data set: classes, meaning of masks, folders, protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyg_mllc.errors import InputError
from pyg_mllc.typing import IGNORE, Color


@dataclass(frozen=True)
class Protocol:
    """Number of labeled images in a published comparison.

    Args:
        labeled: Number of labeled images.
        of: Number of training images, including the labeled ones.
        fine: Source of the labeled images: ``only`` the images of the spec's ``fine`` list, these
            ``first``, or all alike if empty.
    """

    labeled: int
    of: int
    fine: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """Names, colors and file layout of a data set.

    Folders are relative to the root, with ``{split}`` for the name of the split. An image and its
    mask have the same path inside their folders except for suffixes.

    Args:
        name: Name in messages and file names.
        classes: Name of each class; the position is the class.
        colors: RGB color of each class, channels in 0-255.
        images: Folder of the images.
        masks: Folder of the masks.
        listing: Text file with one image name per line; empty if a split is its whole folder.
        void: Ids and colors in masks that mean void.
        codes: Class of each id and color in masks; several may mean the same class. Without ids
            here, the id is the class; without colors here, `colors` are the colors in masks.
        image_suffix: Text after the common part of an image's name, before the extension.
        mask_suffix: Text after the common part of a mask's name, before the extension.
        assumes_void: Whether `IGNORE` is void only by assumption, without the user's word.
        train: Name of the training split.
        fine: Name of the list of the training images with the finest masks; empty without one.
        protocols: Published numbers of labeled images, by name.
        has_colors: Whether masks may hold the colors; otherwise they are for figures only.

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
        """Class, or `IGNORE` for void, of each id in masks with one channel."""
        named = {code: label for code, label in self.codes.items() if isinstance(code, int)}
        void = {code: IGNORE for code in self.void if isinstance(code, int)}
        return (named or {label: label for label in range(self.num_classes)}) | void

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Id of each class in masks with one channel; its position if some class has none.

        Of several ids of a class it is the first.

        >>> colors = ((9, 9, 9), (5, 5, 5))
        >>> DatasetSpec("two", ("a", "b"), colors, codes={7: 0, 8: 1, 9: 1}).class_ids
        (7, 8)
        >>> DatasetSpec("two", ("a", "b"), colors, codes={7: 0, (5, 5, 5): 1}).class_ids
        (0, 1)
        """
        ids = {label: code for code, label in reversed(self.ids.items()) if label != IGNORE}
        numbers = range(self.num_classes)
        return tuple(ids[label] for label in numbers) if len(ids) == len(numbers) else (*numbers,)

    @property
    def palette(self) -> dict[Color, int]:
        """Class, or `IGNORE` for void, of each color in masks in color."""
        named = {code: label for code, label in self.codes.items() if isinstance(code, tuple)}
        void = {code: IGNORE for code in self.void if isinstance(code, tuple)}
        shown = self.colors if self.has_colors else ()
        return (named or {color: label for label, color in enumerate(shown)}) | void

    def only(self, classes: Sequence[str]) -> "DatasetSpec":
        """Return a spec with some of the classes; all others become void.

        Args:
            classes: Names of the classes to keep, in the new order.

        Returns:
            Spec of the same files.

        Raises:
            InputError: If a name is unknown or repeated, or there are fewer than two.

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
