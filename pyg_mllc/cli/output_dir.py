"""The folder of results, which a second call goes on with."""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pyg_mllc.errors import InputError
from pyg_mllc.utils.files import CLASSES, OPTIONS, RESULT_FOLDERS, TABLES, Source
from pyg_mllc.utils.io import atomic_open


def check_output(folder: Path, own: Collection[str] = ()) -> None:
    """Raise if a folder cannot be written to, or a data set is read from it.

    What the classes of results are called would else be what the data set's are.

    Args:
        folder: for results.
        own: names in it that are of earlier results.

    Raises:
        InputError: if so.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"output={folder} is a file; give a folder")
    above = folder.absolute()
    there = next(place for place in (above, *above.parents) if place.exists())
    if not os.access(there, os.W_OK):
        raise InputError(f"output={folder} cannot be written to; give another folder")
    for name in (*TABLES, "images", "masks"):
        if name not in own and (folder / name).exists():
            raise InputError(
                f"output={folder} has a {name} that is none of these results; give another folder"
            )


class Results:
    """A folder of results: one subfolder a kind, one file an input, under the input's name.

    Args:
        folder: for all of it; made when the first file is written.
        kinds: subfolders, some of `RESULT_FOLDERS`.
        options: what the results depend on. A folder that was begun with others is refused.

    Raises:
        InputError: if the folder was begun with other options, or as `check_output`.
    """

    def __init__(
        self, folder: str | Path, kinds: Iterable[str], options: Mapping[str, object]
    ) -> None:
        self.folder = Path(folder).expanduser()
        self.kinds = {kind: RESULT_FOLDERS[kind] for kind in kinds}
        self.options = json.loads(json.dumps(dict(options), default=str))
        earlier = self.folder / OPTIONS
        check_output(self.folder, (CLASSES,) if earlier.exists() else ())
        if not earlier.is_file() or not self._begun():
            return
        try:
            before = json.loads(earlier.read_text(encoding="utf-8"))
            keys = [key for key in self.options if before.get(key) != self.options[key]]
        except (ValueError, AttributeError) as error:
            raise InputError(f"{earlier} is damaged; give another output=<folder>") from error
        if keys:
            was, now = (json.dumps(o.get(keys[0])) for o in (before, self.options))
            raise InputError(
                f"output={folder} holds results made with {keys[0]}={was}, and now it is {now}; "
                "give another folder, or remove this one"
            )

    def begin(self, sources: Iterable[Source], inputs: Iterable[Path]) -> list[Source]:
        """Return the sources without results, after a check that no input is overwritten.

        Args:
            sources: all of them.
            inputs: files that must stay as they are.

        Raises:
            InputError: if a result would take the place of an input.
        """
        kept = {path.resolve() for path in inputs}
        sources = list(sources)
        for source in sources:
            for path in self.paths(source.name).values():
                if path.resolve() in kept:
                    raise InputError(
                        f"{path} is an input and would be overwritten; give another output"
                    )
        with atomic_open(self.folder / OPTIONS) as file:
            file.write(json.dumps(self.options, indent=1, ensure_ascii=False).encode())
        return [source for source in sources if not self.done(source)]

    def _begun(self) -> bool:
        """Check if there is a result of any kind."""
        files = (file for kind in RESULT_FOLDERS for file in (self.folder / kind).rglob("*"))
        return any(file.is_file() for file in files)

    def paths(self, name: str) -> dict[str, Path]:
        """Return the file of each kind for one input."""
        return {kind: self.folder / kind / (name + end) for kind, end in self.kinds.items()}

    def others(self, sources: Iterable[Source]) -> list[Path]:
        """Return results of other inputs, such as of files since removed."""
        kind, end = next(iter(self.kinds.items()))
        known = {self.paths(source.name)[kind] for source in sources}
        return sorted(set((self.folder / kind).rglob(f"*{end}")) - known)

    def done(self, source: Source) -> bool:
        """Check if all results of an input exist and are newer than the input."""
        if not source.path.exists():
            return False
        state = source.path.stat()
        changed = max(state.st_mtime, state.st_ctime)  # who moves an older file there changes this
        files = self.paths(source.name).values()
        return all(file.is_file() and file.stat().st_mtime >= changed for file in files)
