"""Cache of decoded samples on disk."""

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL

from pyg_mllc.errors import InputError

log = logging.getLogger(__name__)


class SampleCache:
    """Arrays on disk, keyed by the content of their source files.

    A changed image has another key, so no entry is ever outdated, and all entries may be deleted at
    any time. Writes are atomic, so processes may share a folder. Arrays are memory-mapped.

    Args:
        folder: Folder of the cache; made if it is missing. It grows with every new file content,
            sample size and table of classes.

    Raises:
        InputError: If the folder cannot be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        self.writable = True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"data.cache={folder} cannot be made ({error.strerror}): name a folder that you may"
                " write in, or pass data.cache=null."
            ) from error

    def get(
        self,
        files: Sequence[Path],
        meaning: str,
        shape: tuple[int, ...],
        make: Callable[[], np.ndarray],
    ) -> np.ndarray:
        """Return an array from the cache; compute and store it if it is missing.

        Args:
            files: Source files.
            meaning: Everything else that the array depends on.
            shape: Shape of the array.
            make: Computes the array, uint8.

        Returns:
            The array, possibly read-only.
        """
        digest = hashlib.blake2b(f"2 {PIL.__version__} {shape} {meaning}".encode(), digest_size=20)
        try:
            for file in files:
                content = file.read_bytes()
                digest.update(len(content).to_bytes(8, "big") + content)
        except OSError:
            return make()  # raises the error that the user reads
        key = digest.hexdigest()
        path = self.folder / key[:2] / key
        try:
            return np.memmap(path, np.uint8, "r", shape=shape)
        except (OSError, ValueError):  # missing or incomplete
            array = make()
        self._put(path, array)
        return array

    def _put(self, path: Path, array: np.ndarray) -> None:
        part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            if self.writable:
                path.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(array.tobytes())
                part.replace(path)
        except FileNotFoundError:  # the folder is being deleted
            return
        except OSError as error:
            self.writable = False
            with suppress(OSError):
                part.unlink()
            log.warning("nothing more is kept in data.cache=%s: %s", self.folder, error.strerror)
