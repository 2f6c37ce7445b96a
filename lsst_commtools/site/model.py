"""A site: typed settings, laid one over the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, SecretStr, ValidationError

from lsst_commtools.errors import SiteError
from lsst_commtools.site.campaign import CampaignSection
from lsst_commtools.site.control import ControlSection, LoveSection
from lsst_commtools.site.data import DataSection
from lsst_commtools.site.deploy import DeploySection
from lsst_commtools.site.home import commtools_home
from lsst_commtools.site.images import ImagesSection
from lsst_commtools.site.notices import NoticesSection
from lsst_commtools.site.pipeline import PipelineSection
from lsst_commtools.site.procedure import ProcedureSection
from lsst_commtools.site.rehearsal import RehearsalSection
from lsst_commtools.site.releases import ReleasesSection
from lsst_commtools.site.repos import ReposSection
from lsst_commtools.site.secrets import read_secret
from lsst_commtools.site.sections import Section

__all__ = ["Site"]

DEFAULT_SITE = "local"
_ENVIRONMENT_PREFIX = "COMMTOOLS_"
_MAX_EXTENDS = 8


class Site(Section):
    """Where everything is, and what is allowed there.

    Settings are laid one over the other: the defaults of each section, the built-in description of the site, the
    user's own file of that name in ``$COMMTOOLS_HOME/sites``, and environment variables such as
    ``COMMTOOLS_LOVE_URL`` for ``love.url``. Secrets are no settings: see `secret`.

    Parameters
    ----------
    name
        Short name, such as ``summit``.
    title
        Name for people.
    real
        Whether a telescope hangs on it; announcements of others are marked as rehearsals.
    data
        Where a night's data lie.
    love
        Where LOVE is, and which CSCs there are.
    control
        Which CSCs may be changed.
    deploy
        Where CSCs run: Argo CD, and the container for tests.
    notices
        Where work is announced.
    images
        Which lab images are shown, and who approves them.
    releases
        What verifies which feature.
    repos
        Where images are.
    procedure
        How procedures are run, and where their record lies.
    campaign
        How many notebooks are run.
    pipeline
        How pipelines are run.
    rehearsal
        How rehearsals are held.
    """

    name: str
    title: str = ""
    real: bool = True
    data: DataSection = Field(default_factory=DataSection)
    love: LoveSection = Field(default_factory=LoveSection)
    control: ControlSection = Field(default_factory=ControlSection)
    deploy: DeploySection = Field(default_factory=DeploySection)
    notices: NoticesSection = Field(default_factory=NoticesSection)
    images: ImagesSection = Field(default_factory=ImagesSection)
    releases: ReleasesSection = Field(default_factory=ReleasesSection)
    repos: ReposSection = Field(default_factory=ReposSection)
    procedure: ProcedureSection = Field(default_factory=ProcedureSection)
    campaign: CampaignSection = Field(default_factory=CampaignSection)
    pipeline: PipelineSection = Field(default_factory=PipelineSection)
    rehearsal: RehearsalSection = Field(default_factory=RehearsalSection)

    @classmethod
    def load(cls, name: str | os.PathLike[str] | None = None) -> Self:
        """Load a site.

        Parameters
        ----------
        name
            Name of a built-in or user's site, or a YAML file; by default ``$COMMTOOLS_SITE``, else ``local``. A file
            may say ``extends: NAME``.

        Returns
        -------
        Site
            The site with all layers applied.

        Raises
        ------
        SiteError
            If there is no such site, or if a setting is unknown or does not fit.
        """
        wanted = os.fspath(name or os.environ.get("COMMTOOLS_SITE") or DEFAULT_SITE)
        values = _layers(wanted)
        for path, kind in _leaves(cls):
            variable = _ENVIRONMENT_PREFIX + "_".join(path).upper()
            if variable in os.environ:
                _put(values, path, _from_environment(os.environ[variable], kind))
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the top level"
            raise SiteError(
                f"The site {wanted!r} has a setting that cannot be used: {where}: {first['msg']}.",
                advice="See docs/guides/add_a_site.md for the settings, or 'commtools site show'.",
            ) from None

    @staticmethod
    def names() -> list[str]:
        """List the sites that can be loaded by name.

        Returns
        -------
        list of str
            Built-in ones and the user's own, sorted.
        """
        builtin = {
            p.name.removesuffix(".yaml") for p in _builtin_folder().iterdir() if p.name.endswith(".yaml")
        }
        return sorted(builtin | {p.stem for p in _user_folder().glob("*.yaml")})

    def secret(self, name: str) -> SecretStr | None:
        """Read a secret: password, token or webhook.

        Parameters
        ----------
        name
            For instance ``love_password``.

        Returns
        -------
        pydantic.SecretStr or None
            ``$COMMTOOLS_<NAME>``, else the file ``$COMMTOOLS_HOME/secrets/<site>/<name>``, which must have mode 0600;
            None if there is neither.

        Raises
        ------
        SiteError
            If the file can be read by others.
        """
        return read_secret(self.name, name)


def _builtin_folder() -> Any:
    return resources.files("lsst_commtools.site") / "builtin"


def _user_folder() -> Path:
    return commtools_home() / "sites"


def _layers(wanted: str) -> dict[str, Any]:
    """Merge the files of a site, the most general first."""
    stack: list[dict[str, Any]] = []
    seen: list[str] = []
    pending: str | None = wanted
    while pending is not None:
        if pending in seen or len(seen) > _MAX_EXTENDS:
            raise SiteError(f"The site {wanted!r} extends itself: {' -> '.join([*seen, pending])}.")
        seen.append(pending)
        files = _files_of(pending)
        pending = None
        for label, text in files:
            layer = _parse(label, text)
            extends = layer.pop("extends", None)
            pending = str(extends) if extends is not None else pending
            stack.append(layer)
    merged: dict[str, Any] = {}
    for layer in reversed(stack):
        _merge(merged, layer)
    merged.setdefault("name", Path(wanted).stem)
    return merged


def _files_of(name: str) -> list[tuple[str, str]]:
    """Find the files that describe a site, the user's before the built-in one."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        try:
            return [(name, Path(name).expanduser().read_text(encoding="utf-8"))]
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise SiteError(f"The site file {name!r} cannot be read: {reason}.") from None
    found: list[tuple[str, str]] = []
    candidates = [
        (f"the user's {name}.yaml", _user_folder() / f"{name}.yaml"),
        (name, _builtin_folder() / f"{name}.yaml"),
    ]
    for label, path in candidates:
        if path.is_file():
            found.append((label, path.read_text(encoding="utf-8")))
    if not found:
        raise SiteError(
            f"There is no site {name!r}.", advice=f"Known are {', '.join(Site.names())}; or give a YAML file."
        )
    return found


def _parse(label: str, text: str) -> dict[str, Any]:
    try:
        layer = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise SiteError(f"The site file {label!r} is not YAML{where}.") from None
    if layer is None:
        return {}
    if not isinstance(layer, dict) or not all(isinstance(key, str) for key in layer):
        raise SiteError(f"The site file {label!r} does not hold settings by name.")
    return layer


def _merge(into: dict[str, Any], layer: dict[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        nested = values.setdefault(key, {})
        if not isinstance(nested, dict):
            return  # validation names the misfit
        values = nested
    values[path[-1]] = value


def _leaves(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, (*prefix, name))
        elif (*prefix, name) != ("name",):
            yield (*prefix, name), kind


def _from_environment(text: str, kind: Any) -> Any:
    """Read a variable: plain text for text settings, YAML for lists, numbers and the like."""
    if kind is str or (get_origin(kind) is Annotated and get_args(kind)[0] is str):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
