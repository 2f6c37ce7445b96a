"""Listing trees of raw files: one pass of ``os.scandir``, links read but never followed out of the tree."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from lsst_commtools.repos.names import RAW_ENDINGS

__all__ = ["Folders", "Tree", "is_folder", "is_there", "list_tree"]


@dataclass(frozen=True)
class Tree:
    """Raw files below a folder.

    Parameters
    ----------
    files
        Path to the text of the link, or None for a file that is none.
    unread
        Folders that could not be listed, with the reason.
    """

    files: dict[str, str | None] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def list_tree(folder: str, progress: Callable[[str, int], None] | None = None) -> Tree:
    """List the raw files below a folder.

    Parameters
    ----------
    folder
        Where to begin; it may be a link itself, links to folders below it are not followed.
    progress
        Called after each folder with its path and the number of files so far.

    Returns
    -------
    Tree
        Files that end like FITS files; hidden ones, which a transfer has not finished, are left out.
    """
    tree = Tree()
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.name.endswith(RAW_ENDINGS) and not entry.name.startswith("."):
                        link = entry.is_symlink()
                        tree.files[entry.path] = os.readlink(entry.path) if link else None  # noqa: PTH115 - 10^5 times
                    elif entry.is_symlink() and entry.is_dir():
                        tree.unread.append(f"{entry.path} is a link to a folder, which is not followed.")
        except FileNotFoundError:
            if current == folder:
                tree.unread.append(f"{current} does not exist.")
        except OSError as error:
            tree.unread.append(f"{current} cannot be read: {error.strerror}.")
        if progress is not None:
            progress(current, len(tree.files))
    return tree


def is_there(*parts: str | os.PathLike[str]) -> bool:
    """Tell whether a path leads to something that can be seen; without the right to look it is not there.

    Parameters
    ----------
    *parts
        Parts of the path.

    Returns
    -------
    bool
        False for dangling links, and where a folder on the way cannot be entered.
    """
    return os.path.exists(os.path.join(*parts))  # noqa: PTH110, PTH118 - Path.exists raises PermissionError


def is_folder(*parts: str | os.PathLike[str]) -> bool:
    """Tell whether a path leads to a folder that can be seen.

    Parameters
    ----------
    *parts
        Parts of the path.

    Returns
    -------
    bool
        False where a folder on the way cannot be entered.
    """
    return os.path.isdir(os.path.join(*parts))  # noqa: PTH112, PTH118 - Path.is_dir raises PermissionError


class Folders:
    """Real paths and contents of folders, each asked for once: a night's files share a few folders."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}
        self._names: dict[str, frozenset[str]] = {}

    def real(self, path: str) -> str:
        """Give a path with its folder resolved; the last part is taken as it is.

        Parameters
        ----------
        path
            Absolute path.

        Returns
        -------
        str
            Real path of the folder, and the name.
        """
        folder, _, name = path.rpartition("/")
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder or "/").rstrip("/")
        return f"{self._real[folder]}/{name}"

    def target(self, path: str, text: str | None) -> str:
        """Give the file that a link leads to.

        Parameters
        ----------
        path
            The link, or a file.
        text
            What is written in the link, None for a file.

        Returns
        -------
        str
            Path whose folder is real.
        """
        if text is None:
            return self.real(path)
        return self.real(text if text.startswith("/") else f"{path.rpartition('/')[0]}/{text}")

    def exists(self, path: str) -> bool:
        """Tell whether a file is there, by the listing of its folder.

        Parameters
        ----------
        path
            Path whose folder is real.

        Returns
        -------
        bool
            Whether its folder holds that name, and it is no dangling link.
        """
        folder, name = os.path.split(path)
        if folder not in self._names:
            try:
                with os.scandir(folder) as entries:
                    self._names[folder] = frozenset(
                        e.name for e in entries if not e.is_symlink() or e.is_file()
                    )
            except OSError:
                self._names[folder] = frozenset()
        return name in self._names[folder]
