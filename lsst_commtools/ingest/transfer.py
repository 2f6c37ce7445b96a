"""Bring raw files from where they appear into the storage folder, whole and with their checksums."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lsst_commtools.errors import InputError, ServiceError

__all__ = ["TransferRecord", "find_raw_files", "transfer_files"]

RAW_ENDINGS = (".fits", ".fits.fz", ".fits.gz")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class TransferRecord:
    """One file that arrived.

    Parameters
    ----------
    path
        Relative to both folders.
    size_bytes
        Size.
    source_mtime_ns
        Time of last change of the source in Unix nanoseconds: with the size, what tells a changed source.
    sha256
        Checksum of what was read and written.
    """

    path: str
    size_bytes: int
    source_mtime_ns: int
    sha256: str


def find_raw_files(folder: Path) -> list[Path]:
    """List the raw files below a folder.

    Parameters
    ----------
    folder
        Where to look, at any depth; links to folders are not followed.

    Returns
    -------
    list of pathlib.Path
        Files with a FITS ending, sorted.

    Raises
    ------
    InputError
        If there is no such folder, or no raw file in it.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", advice="Give the folder that holds the raw files.")
    found = sorted(
        Path(parent) / name
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(RAW_ENDINGS)
    )
    if not found:
        raise InputError(
            f"There are no raw files in {folder}.", advice=f"Raw files end in {', '.join(RAW_ENDINGS)}."
        )
    return found


def transfer_files(
    source: Path,
    destination: Path,
    files: Sequence[Path],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[TransferRecord]:
    """Copy files, each whole or not at all, and record their checksums.

    A file that arrived before and has not changed at its source is not copied again.

    Parameters
    ----------
    source
        Folder that the files lie in.
    destination
        Folder that they are brought to, under the same relative names; its ``transfer.jsonl`` is the record.
    files
        What to bring.
    progress
        Called with the number of files done and their total.

    Returns
    -------
    list of TransferRecord
        In the order of ``files``.

    Raises
    ------
    ServiceError
        If the destination cannot be written; files that arrived before stay, and the same call goes on from there.
    """
    destination.mkdir(parents=True, exist_ok=True)
    journal = destination / "transfer.jsonl"
    known = {record.path: record for record in _read_journal(journal)}
    records: list[TransferRecord] = []
    try:
        with journal.open("a", encoding="utf-8") as stream:
            for done, file in enumerate(files, start=1):
                name = file.relative_to(source).as_posix()
                record = known.get(name)
                if record is None or not _unchanged(record, file, destination / name):
                    record = _copy(file, destination / name, name)
                    stream.write(json.dumps(asdict(record)) + "\n")
                    stream.flush()
                records.append(record)
                if progress is not None:
                    progress(done, len(files))
    except OSError as error:
        raise ServiceError(
            f"The transfer stopped at file {len(records) + 1} of {len(files)}: {error.strerror or error}.",
            changed=f"{len(records)} files arrived whole.",
            advice="Mend the cause and run the same command again: it goes on from there.",
        ) from error
    return records


def _read_journal(journal: Path) -> Iterable[TransferRecord]:
    if not journal.exists():
        return
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield TransferRecord(**json.loads(line))
        except (ValueError, TypeError):
            continue  # a line cut by a kill: its file is copied again


def _unchanged(record: TransferRecord, file: Path, copy: Path) -> bool:
    seen = file.stat()
    same_source = (seen.st_size, seen.st_mtime_ns) == (record.size_bytes, record.source_mtime_ns)
    return same_source and copy.is_file() and copy.stat().st_size == record.size_bytes


def _copy(file: Path, copy: Path, name: str) -> TransferRecord:
    copy.parent.mkdir(parents=True, exist_ok=True)
    part = copy.with_name(copy.name + ".part")
    checksum = hashlib.sha256()
    size_bytes = 0
    with file.open("rb") as reader, part.open("wb") as writer:
        mtime_ns = os.fstat(reader.fileno()).st_mtime_ns
        while block := reader.read(_BLOCK_BYTES):
            checksum.update(block)
            writer.write(block)
            size_bytes += len(block)
    part.replace(copy)
    return TransferRecord(name, size_bytes, mtime_ns, checksum.hexdigest())
