"""Which files lie in folders, each of which is listed once."""

from __future__ import annotations

import os
from collections.abc import Sequence

IMAGE_ENDINGS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.ppm', '.webp', '.npy')


class Listing:
    """Remembers which files its folders have, for as long as one list of images is made."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, str]] = {}
        self._files: dict[str, frozenset[str]] = {}

    def files(self, folder: str) -> frozenset[str]:
        """Names of the files of a folder; none where there is no such folder."""
        if folder not in self._files:
            found = os.scandir(folder) if os.path.isdir(folder) else ()
            self._files[folder] = frozenset(e.name for e in found if not e.is_dir())
        return self._files[folder]

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        folder, name = os.path.split(path)
        return name in self.files(folder)

    def with_stem(self, folder: str, stem: str, endings: Sequence[str] = ()) -> str | None:
        """The path of the file whose name is ``stem`` and an ending: of the first that is there.

        Args:
            folder: where it is looked for.
            stem: name without its ending, with folders in it or not.
            endings: those that are meant; any if empty.
        """
        folder, _, stem = os.path.join(folder, stem).rpartition('/')
        if folder not in self._folders:
            # The file of a name that comes first, where several differ in their endings alone.
            names = sorted(self.files(folder), reverse=True)
            self._folders[folder] = {os.path.splitext(name)[0]: name for name in names}
        if not endings:
            name = self._folders[folder].get(stem)
            return os.path.join(folder, name) if name else None
        found = (f'{stem}{ending}' for ending in endings)
        return next(
            (os.path.join(folder, name) for name in found if self.has(f'{folder}/{name}')), None
        )


def names_in(path: str, with_spaces: bool = False) -> list[str]:
    """The names that a file lists, one a line or with other space between them.

    Lines may end in CR, LF or both.

    Args:
        path: of the file.
        with_spaces: names may have spaces within, so that they are one a line.

    Raises:
        ValueError: it is no text.
    """
    text = read_list(path)
    if not with_spaces:
        return text.split()
    return [name for name in map(str.strip, text.splitlines()) if name]


def read_list(path: str) -> str:
    """The text of a list, in UTF-8, with or without the mark that some editors write before it.

    Raises:
        ValueError: it is no such text.
    """
    try:
        with open(path, encoding='utf-8-sig', newline=None) as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path!r} is no text in UTF-8: {error.reason}') from error


def images_below(folder: str, endings: Sequence[str] = IMAGE_ENDINGS) -> list[str]:
    """Paths of all images in a folder and those in it, relative to it and in order."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders.sort()
        below = os.path.relpath(parent, folder)
        found += [
            os.path.normpath(os.path.join(below, name))
            for name in sorted(files)
            if os.path.splitext(name)[1].lower() in endings
        ]
    return found


def named(dataset: object) -> str:
    """What messages call a data set."""
    return type(dataset).__name__
