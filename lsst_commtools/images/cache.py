"""Answers of a registry, kept with their ETag."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CachedAnswer", "EtagCache"]


@dataclass(frozen=True)
class CachedAnswer:
    """An answer that was read before.

    Parameters
    ----------
    etag
        ETag that came with it.
    body
        Its body.
    link
        Its ``Link`` header, if it had one.
    """

    etag: str
    body: bytes
    link: str | None


class EtagCache:
    """Answers by URL, in memory and, where there is a folder, in files of it.

    Parameters
    ----------
    folder
        Folder of the files; None to keep answers in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, CachedAnswer] = {}

    def get(self, url: str) -> CachedAnswer | None:
        """Find an answer.

        Parameters
        ----------
        url
            URL that was asked.

        Returns
        -------
        CachedAnswer or None
            None if there is none, or none that can be read.
        """
        if url in self._memory or self._folder is None:
            return self._memory.get(url)
        try:
            entry = json.loads(self._path(url).read_text(encoding="utf-8"))
            if entry["url"] != url:
                return None
            return CachedAnswer(str(entry["etag"]), base64.b64decode(entry["body"]), entry["link"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, url: str, etag: str, body: bytes, link: str | None) -> None:
        """Keep an answer. A cache that cannot be written is no error.

        Parameters
        ----------
        url, etag, body, link
            What was asked and answered.
        """
        self._memory[url] = CachedAnswer(etag, body, link)
        if self._folder is None:
            return
        entry = {"url": url, "etag": etag, "body": base64.b64encode(body).decode(), "link": link}
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as stream:
                json.dump(entry, stream)
            Path(stream.name).replace(self._path(url))

    def _path(self, url: str) -> Path:
        folder = self._folder or Path()
        return folder / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
