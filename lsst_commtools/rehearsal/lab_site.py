"""The lab images of a rehearsal: a registry of its own, so that nobody else's is touched."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.night.counts import Problem

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["environments_file", "image_problems", "lab_site", "listing_file"]

_READS = "import sys; from lsst_commtools.instrument.raws import inspect_raw; inspect_raw(sys.argv[1])"


def listing_file(work: Path) -> Path:
    """Name the file of tags and digests that stands in for the registry of a rehearsal.

    Parameters
    ----------
    work
        Folder of the rehearsal.

    Returns
    -------
    pathlib.Path
        It need not exist.
    """
    return work / "images" / "listing.json"


def environments_file(work: Path) -> Path:
    """Name the file that says which environment stands for which image.

    Parameters
    ----------
    work
        Folder of the rehearsal.

    Returns
    -------
    pathlib.Path
        It need not exist.
    """
    return work / "images" / "environments.json"


def lab_site(site: Site, work: Path) -> Site:
    """Give the site as a rehearsal sees it: with its registry and its environments, where it has them.

    Parameters
    ----------
    site
        The site.
    work
        Folder of the rehearsal.

    Returns
    -------
    Site
        The same where its images come from a real registry, or the rehearsal has none.
    """
    if site.images.source.type != "file":
        return site
    images = site.images
    if listing_file(work).is_file():
        source = images.source.model_copy(update={"path": str(listing_file(work))})
        images = images.model_copy(update={"source": source})
    if environments_file(work).is_file():
        told = json.loads(environments_file(work).read_text(encoding="utf-8"))
        compat = images.compat.model_copy(update={"environments": images.compat.environments | told})
        images = images.model_copy(update={"compat": compat})
    return site.model_copy(update={"images": images})


def image_problems(site: Site, tag: str, raw: Path, *, timeout_s: float = 60.0) -> list[Problem]:
    """Try whether an image can read the night's data, before the night depends on it.

    Parameters
    ----------
    site
        From `lab_site`: an image is an environment there.
    tag
        The image.
    raw
        A raw file of the night.
    timeout_s
        Longest trial, in seconds.

    Returns
    -------
    list of Problem
        Kind ``image-cannot-read``. Where the site has no environment for the image nothing was tried, and nothing is
        said: ask `Site.images` first whether it has one.
    """
    environment = site.images.compat.environments.get(tag)
    if environment is None:
        return []
    command = [f"{environment}/bin/python", "-c", _READS, str(raw)]
    try:
        tried = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = f"it could not be tried ({type(error).__name__})"
    else:
        if tried.returncode == 0:
            return []
        lines = tried.stderr.decode("utf-8", "replace").strip().splitlines()
        why = lines[-1][:200] if lines else f"it ended with code {tried.returncode}"
    return [Problem("image-cannot-read", f"The image {tag} cannot read {raw.name}: {why}.", f"image {tag}")]
