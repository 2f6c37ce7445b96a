"""Requests for packages: who asked for what, why, when, and which test shows that it works."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.images.layers import ImageContents, LayerName

__all__ = ["PackageRequest", "check_requests", "read_requests"]


@dataclass(frozen=True)
class PackageRequest:
    """Somebody's wish for a package.

    Parameters
    ----------
    package
        The package.
    who, why
        Who asked for it, and what for.
    when
        Day of the request.
    test
        Test that shows it to work; empty where there is none.
    approved_by
        Who decided for it; empty while nobody has.
    """

    package: str
    who: str
    why: str
    when: dt.date
    test: str = ""
    approved_by: str = ""


def read_requests(path: Path | str) -> list[PackageRequest]:
    """Read requests for packages.

    Parameters
    ----------
    path
        YAML: a list of tables with ``package``, ``who``, ``why``, ``when`` (a date), and, where there are any,
        ``test`` and ``approved_by``.

    Returns
    -------
    list of PackageRequest
        The requests.

    Raises
    ------
    NotFoundError
        If there is no such file.
    TableError
        If it is of another form.
    """
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There are no requests {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        raise TableError(f"The requests {str(path)!r} are not YAML.") from None
    try:
        return TypeAdapter(list[PackageRequest]).validate_python(document or [])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the top level"
        raise TableError(f"The requests {str(path)!r} cannot be used: {where}: {first['msg']}.") from None


def check_requests(
    contents: ImageContents, requests: Collection[PackageRequest], tests: Collection[str]
) -> list[str]:
    """Check that each third-party package was asked for, decided on, and is tested.

    Parameters
    ----------
    contents
        Contents of an image.
    requests
        Requests for packages.
    tests
        Names of the tests that there are.

    Returns
    -------
    list of str
        A sentence for each package that nobody asked for, that lies in another layer, that was not decided on, or
        that has no test; and for each approved request that the image does not hold.
    """
    by_package = {request.package: request for request in requests}
    held = contents.packages
    problems = [
        f"Nobody asked for the third-party package {name}."
        for name in sorted(contents.layers.get(LayerName.THIRD_PARTY, {}))
        if name not in by_package
    ]
    for name, request in sorted(by_package.items()):
        layer = held[name][0] if name in held else None
        if layer is None and request.approved_by:
            problems.append(f"{name}, which {request.who} asked for, is not in the image.")
        elif layer is not None and not request.approved_by:
            problems.append(f"{name} is in the image, but nobody decided on the request of {request.who}.")
        if layer is LayerName.LAB:
            problems.append(
                f"{name} was asked for by {request.who}, but lies among the machinery of the lab."
            )
        if layer is not None and request.test not in tests:
            problems.append(f"No test shows that {name} works, which {request.who} asked for.")
    return problems
