"""Secrets: from the environment, or from files that nobody else can read."""

from __future__ import annotations

import os
import re
import stat

from pydantic import SecretStr

from lsst_commtools.errors import SiteError
from lsst_commtools.site.home import commtools_home

__all__ = ["read_secret"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def read_secret(site: str, name: str) -> SecretStr | None:
    """Read a secret of a site.

    Parameters
    ----------
    site
        Name of the site.
    name
        Name of the secret in lower case, such as ``love_password``.

    Returns
    -------
    pydantic.SecretStr or None
        The secret, which shows in no repr, or None if there is none.

    Raises
    ------
    SiteError
        If the file that holds it can be read by others.
    """
    if not _NAME.fullmatch(name):
        raise SiteError(f"{name!r} is not the name of a secret.")
    if value := os.environ.get(f"COMMTOOLS_{name.upper()}"):
        return SecretStr(value)
    path = commtools_home() / "secrets" / site / name
    try:
        with path.open(encoding="utf-8") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & 0o077:
                raise SiteError(
                    f"The secret file {path} can be read by others (mode {mode:04o}).",
                    advice=f"chmod 600 {path}",
                )
            return SecretStr(stream.read().strip())
    except FileNotFoundError:
        return None
