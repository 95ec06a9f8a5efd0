"""Decoded samples kept on disk, so that no pass but the first decodes."""

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
    """Arrays in files of a folder, found by the content of what they were made from.

    A changed image is another content, so nothing in the folder is ever out of date, and all of it
    may be deleted at any time. Each file is written beside its place and then put there, so that
    processes may share a folder and start at once. What is read is mapped into memory.

    Args:
        folder: Made if it is missing. It grows with every new content, size and meaning of ids.

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
        """Give an array, made only if it is not in the folder.

        Args:
            files: What it is made from.
            meaning: Whatever else decides what it is.
            shape: Of the array.
            make: Makes it, uint8.

        Returns:
            The array, possibly read-only.
        """
        digest = hashlib.blake2b(f"2 {PIL.__version__} {shape} {meaning}".encode(), digest_size=20)
        try:
            for file in files:
                content = file.read_bytes()
                digest.update(len(content).to_bytes(8, "big") + content)
        except OSError:
            return make()  # which says what is wrong
        key = digest.hexdigest()
        path = self.folder / key[:2] / key
        try:
            return np.memmap(path, np.uint8, "r", shape=shape)
        except (OSError, ValueError):  # not there, or not whole
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
        except FileNotFoundError:  # somebody deletes the folder
            return
        except OSError as error:
            self.writable = False
            with suppress(OSError):
                part.unlink()
            log.warning("nothing more is kept in data.cache=%s: %s", self.folder, error.strerror)
