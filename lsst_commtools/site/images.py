"""Settings of lab images: where they come from, which of them a site shows, and who approves them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from lsst_commtools.site.sections import Section

__all__ = [
    "BuildsSection",
    "CompatSection",
    "ImageFilterPolicy",
    "ImageSource",
    "ImagesSection",
    "SmokeLevel",
    "TypeFilter",
]

_UPPER = re.compile(r"(?<=[a-z0-9])([A-Z])")
_AGE = re.compile(
    r"(?:(?P<weeks>[0-9]+)w(?:eeks?)?)?(?:(?P<days>[0-9]+)d(?:ays?)?)?(?:(?P<hours>[0-9]+)h(?:ours?)?)?"
    r"(?:(?P<minutes>[0-9]+)m(?:in(?:utes?)?)?)?(?:(?P<seconds>[0-9]+)s(?:ec(?:onds?)?)?)?"
)


def _snake_case(values: Any) -> Any:
    """Take Phalanx's camelCase keys for ours, so that a policy can be pasted from there."""
    if not isinstance(values, Mapping):
        return values
    renamed: dict[Any, Any] = {}
    for key, value in values.items():
        name = _UPPER.sub(lambda m: f"_{m[1].lower()}", key) if isinstance(key, str) else key
        if name in renamed:
            raise ValueError(f"{key} is given twice, in two spellings")
        renamed[name] = value
    return renamed


def _duration(value: Any) -> Any:
    """Read a duration as people write it: ``5m``, ``30d``, ``1w 2d``; a number counts seconds."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    if not isinstance(value, str):
        return dt.timedelta(seconds=value)
    match = _AGE.fullmatch("".join(value.split()))
    if match is None or not any(match.groups()):
        raise ValueError("a duration such as 5m, 30d or 1w2d is needed")
    try:
        return dt.timedelta(**{unit: int(n) for unit, n in match.groupdict().items() if n is not None})
    except (OverflowError, ValueError):
        raise ValueError("the duration is too long") from None


def _written(value: dt.timedelta) -> str:
    """Write a duration as it is read, so that what ``commtools site show`` prints is a site file."""
    seconds = int(value.total_seconds())
    sizes = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    return next(f"{seconds // size}{unit}" for unit, size in sizes if seconds % size == 0)


Duration = Annotated[dt.timedelta, BeforeValidator(_duration), PlainSerializer(_written, when_used="json")]


class TypeFilter(Section):
    """Which images of one type are shown; all conditions that are given must hold.

    Parameters
    ----------
    number
        How many, newest first; 0 shows none, absent shows all.
    age
        How old at most, by the date in the tag.
    cutoff_date
        Oldest date in the tag.
    cutoff_build
        Lowest RSP build; tags without one are not judged by it.
    cutoff_version
        Lowest version, for releases, candidates and what was built on them; such as ``23.0.0`` or ``23.0.0-rc1``.
    """

    number: int | None = Field(default=None, ge=0)
    age: Duration | None = Field(default=None, ge=dt.timedelta(0))
    cutoff_date: dt.datetime | None = None
    cutoff_build: int | None = Field(default=None, ge=0)
    cutoff_version: str | None = Field(
        default=None, pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}(?:-rc[0-9]{1,9})?\z"
    )

    _names = model_validator(mode="before")(_snake_case)

    @field_validator("cutoff_date")
    @classmethod
    def _utc(cls, value: dt.datetime | None) -> dt.datetime | None:
        return value.replace(tzinfo=dt.UTC) if value is not None and value.tzinfo is None else value


class ImageFilterPolicy(Section):
    """Filters by type. Aliases are never filtered.

    Parameters
    ----------
    release, weekly, daily, release_candidate, experimental
        Filter of each type.
    show_unknown
        Whether tags that follow no rule are shown.
    """

    release: TypeFilter = TypeFilter()
    weekly: TypeFilter = TypeFilter()
    daily: TypeFilter = TypeFilter()
    release_candidate: TypeFilter = TypeFilter()
    experimental: TypeFilter = TypeFilter()
    show_unknown: bool = False

    _names = model_validator(mode="before")(_snake_case)


class ImageSource(Section):
    """Where the images lie.

    Parameters
    ----------
    type
        ``docker`` (usual where a registry is named) and ``google`` are asked by the Docker Registry API; ``file`` is
        a listing (tags and digests), by default the sample that comes with the package.
    registry
        Host of the registry, or its URL.
    repository
        Path of the repository.
    path
        Listing, of a source of type ``file``.
    token_hosts
        Hosts besides the registry that may be asked for a token, so that credentials go nowhere else.
    timeout_s
        Longest wait for one answer, in seconds.
    """

    type: Literal["docker", "google", "file"] = "file"
    registry: str = ""
    repository: str = ""
    path: str = ""
    token_hosts: tuple[str, ...] = ("auth.docker.io",)
    timeout_s: float = Field(default=20.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _names(cls, values: Any) -> Any:
        values = _snake_case(values)
        if isinstance(values, dict) and values.get("registry"):
            values.setdefault("type", "docker")
        return values

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type != "file" and not (self.registry and self.repository):
            raise ValueError("a registry and a repository are needed")
        return self


class SmokeLevel(Section):
    """How much must pass before an image may serve a use.

    Parameters
    ----------
    within_hours
        How soon the image is wanted.
    notebooks
        Patterns of the notebooks that must pass.
    may_be_untested
        Whether an image that nobody tested may be offered: by choice, with the old one beside it.
    """

    within_hours: float = Field(gt=0)
    notebooks: tuple[str, ...] = ("*",)
    may_be_untested: bool = False


class CompatSection(Section):
    """How notebooks are tried on images.

    Parameters
    ----------
    command
        Command as a list; ``{image}``, ``{environment}``, ``{notebook}`` and ``{output}`` are put in. On ``local`` an
        image is a virtual environment.
    environments
        Tag to the folder of its virtual environment, where the command asks for one.
    timeout_s
        Longest run of one notebook, in seconds.
    smoke_levels
        What each use of an image wants.
    """

    command: tuple[str, ...] = ("{environment}/bin/python", "-m", "papermill", "{notebook}", "{output}")
    environments: dict[str, str] = Field(default_factory=dict)
    timeout_s: float = Field(default=900.0, gt=0)
    smoke_levels: dict[str, SmokeLevel] = Field(
        default_factory=lambda: {
            "jupyterlab": SmokeLevel(within_hours=4.0, may_be_untested=True),
            "commissioning": SmokeLevel(within_hours=12.0, notebooks=("csc/*", "qa/*", "repos/*")),
            "batch": SmokeLevel(within_hours=168.0),
        }
    )


class BuildsSection(Section):
    """Time budget of a night's images.

    Parameters
    ----------
    layers
        Layers in the order in which they are built, each from the one before, with the minutes that each may take.
    budget
        Longest time from the first start to the last image.
    deadline_utc
        Time of day at which the last image must be there, before observing begins.
    """

    layers: dict[str, float] = Field(default_factory=lambda: {"stack": 100.0, "ts": 30.0, "lab": 50.0})
    budget: Duration = dt.timedelta(hours=3)
    deadline_utc: dt.time = dt.time(20, 0)


class ImagesSection(Section):
    """Which lab images a site shows. Keys may be written as in Phalanx (``recommendedTag``), whose defaults these are.

    Parameters
    ----------
    source
        Where the images lie.
    recommended_tag
        Alias, tag or digest (``sha256:...``) of the recommended image.
    alias_tags
        Further tags that are aliases.
    num_releases, num_weeklies, num_dailies
        How many of each the spawner page shows.
    cycle
        SAL cycle that is allowed; None where there is no cycle protection.
    pin
        Tags that are shown besides.
    filters
        Filters by type; they take the place of the three numbers where they are given.
    refresh_interval, prepull_timeout
        Nublado's own, kept so that its policies can be read.
    approvers
        Who may approve a change here; empty where approvals are not recorded.
    approvals_needed
        How many different people must.
    approvals_url
        SQLAlchemy URL of the record of approvals; empty for a file in the user's folder.
    builds, compat
        Time budget of builds, and trials of notebooks.
    """

    source: ImageSource = ImageSource()
    recommended_tag: str = Field(default="recommended", min_length=1)
    alias_tags: tuple[str, ...] = ()
    num_releases: int = Field(default=1, ge=0)
    num_weeklies: int = Field(default=2, ge=0)
    num_dailies: int = Field(default=3, ge=0)
    cycle: int | None = Field(default=None, ge=0)
    pin: tuple[str, ...] = ()
    filters: ImageFilterPolicy | None = None
    refresh_interval: Duration = dt.timedelta(minutes=5)
    prepull_timeout: Duration = dt.timedelta(minutes=10)
    approvers: tuple[str, ...] = ()
    approvals_needed: int = Field(default=1, ge=1)
    approvals_url: str = ""
    builds: BuildsSection = BuildsSection()
    compat: CompatSection = CompatSection()

    _names = model_validator(mode="before")(_snake_case)

    @property
    def aliases(self) -> frozenset[str]:
        """Tags that are aliases at this site."""
        return frozenset((self.recommended_tag, *self.alias_tags))
