"""Begin at a site: the user's own site file, and a kernelspec for the environment that runs this."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lsst_commtools.errors import InputError, RefusedError
from lsst_commtools.site.description import SectionDescription, SettingDescription, describe_settings
from lsst_commtools.site.home import commtools_home
from lsst_commtools.site.model import Site

__all__ = ["SiteBeginning", "begin_site", "kernelspec", "site_file_text"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", re.ASCII)
# What a stack that was set up by EUPS or conda leaves in the environment, and a kernel needs to find it again. Names
# are told one by one, so that no token of the user's session gets into a file.
_OF_A_STACK = re.compile(
    r"PATH|PYTHONPATH|LD_LIBRARY_PATH|LSST_LIBRARY_PATH|CONDA_(PREFIX|DEFAULT_ENV)|EUPS_(PATH|DIR|PKGROOT)|"
    r"SETUP_[A-Z0-9_]+|[A-Z][A-Z0-9_]*_DIR",
    re.ASCII,
)


@dataclass(frozen=True)
class SiteBeginning:
    """What was written.

    Parameters
    ----------
    site
        Name of the site.
    site_file
        The user's settings of it.
    kernel
        Name of the kernel; empty where none was wanted.
    kernel_file
        Its ``kernel.json``; None where none was wanted.
    """

    site: str
    site_file: Path
    kernel: str
    kernel_file: Path | None


def begin_site(name: str, *, extends: str | None = None, kernel: bool = True) -> SiteBeginning:
    """Write the user's site file, in which all settings stand as comments, and a kernelspec.

    Parameters
    ----------
    name
        Name of the site: a built-in one, whose settings the file changes, or a new one.
    extends
        Site on which a new one stands.
    kernel
        Whether to write a kernelspec for the environment that runs this.

    Returns
    -------
    SiteBeginning
        What was written.

    Raises
    ------
    InputError
        If the name is none, or the site to stand on is not there.
    RefusedError
        If one of the files is there already; nothing is overwritten.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be the name of a site.", advice="Use letters, digits, - and _.")
    known = Site.names()
    site_file = commtools_home() / "sites" / f"{name}.yaml"
    if extends is None and name not in known:
        raise InputError(
            f"The site {name!r} is new: say on which it stands.",
            changed="Nothing was written.",
            advice=f"--extends with one of {', '.join(known)}.",
        )
    kernel_name = f"commtools-{name.lower()}" if kernel else ""
    kernel_file = _kernels_folder() / kernel_name / "kernel.json" if kernel else None
    for path in filter(None, (site_file, kernel_file)):
        if path.exists():
            raise RefusedError(
                f"{path} is there already.",
                changed="Nothing was written.",
                advice="Change it, or move it away first.",
            )
    Site.load(extends or name)
    _write(site_file, site_file_text(name, extends))
    if kernel_file is not None:
        _write(kernel_file, json.dumps(kernelspec(name), indent=1) + "\n")
    return SiteBeginning(name, site_file, kernel_name, kernel_file)


def site_file_text(name: str, extends: str | None = None) -> str:
    """Write a site file that changes nothing: every setting stands in it as a comment, with its meaning.

    Parameters
    ----------
    name
        Name of the site.
    extends
        Site on which it stands; None where the built-in one of that name is meant.

    Returns
    -------
    str
        YAML; each line ``# key: value`` is a setting as it is now.
    """
    site = Site.load(extends or name)
    lines = [
        f"## Your settings of the site {name}. A line that begins with one # is a setting as it is without this file;",
        "## take the # away before a section and a setting to change it. `commtools site show` prints the outcome,",
        "## `commtools site check` tries each place. Unknown settings are refused.",
        "## Passwords and tokens do not belong here: they are variables such as COMMTOOLS_LOVE_PASSWORD, or files",
        f"## with mode 0600 such as {commtools_home() / 'secrets' / name / 'love_password'}.",
        *(["", f"extends: {extends}"] if extends else []),
    ]
    for section in describe_settings(Site):
        lines += ["", *_section(section, site)]
    return "\n".join([*lines, ""])


def _section(section: SectionDescription, site: Site) -> list[str]:
    depth = "  " * len(section.path)
    heading = [f"# {'  ' * (len(section.path) - 1)}{section.path[-1]}:"] if section.path else []
    values: Any = site
    for key in section.path:
        values = getattr(values, key)
    lines = [f"## {'.'.join(section.path) or 'The site itself'}: {section.title}", *heading]
    for setting in section.settings:
        if (section.path, setting.name) != ((), "name"):
            lines += _setting(setting, values.model_dump(mode="json")[setting.name], depth)
    return lines


def _setting(setting: SettingDescription, value: Any, depth: str) -> list[str]:
    meaning = textwrap.wrap(setting.meaning.replace("``", ""), 100 - len(depth))
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    return [*(f"## {depth}{line}" for line in meaning), f"# {depth}{setting.name}: {text.splitlines()[0]}"]


def kernelspec(site: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Describe a kernel in the environment that runs this.

    Parameters
    ----------
    site
        Site at which its notebooks work.
    environment
        Variables of the session; by default those of this process.

    Returns
    -------
    dict
        Content of ``kernel.json``. Where the session has a stack set up, the variables that lead to it are kept, and
        no others.
    """
    session = os.environ if environment is None else environment
    kept = {n: v for n, v in sorted(session.items()) if "EUPS_DIR" in session and _OF_A_STACK.fullmatch(n)}
    return {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"lsst_commtools ({site})",
        "language": "python",
        "metadata": {"debugger": True},
        "env": {**kept, "COMMTOOLS_SITE": site},
    }


def _kernels_folder() -> Path:
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "kernels"


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner reads, unless it is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise RefusedError(f"{path} is there already.", advice="Change it, or move it away first.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
