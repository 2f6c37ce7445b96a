"""Repositories of a site: one answer for both generations."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lsst_commtools.errors import CommtoolsError, InputError, NotFoundError, RefusedError
from lsst_commtools.ids import check_day_obs
from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.repos.audit import Progress, audit_gen2, find_teststand_paths
from lsst_commtools.repos.butlers import default_collections, is_gen3, open_butler, read_index
from lsst_commtools.repos.chain import resolve_chain
from lsst_commtools.repos.check import CheckLine, check_repository
from lsst_commtools.repos.discover import discover, instrument_of_butler
from lsst_commtools.repos.gen2 import Gen2Repository
from lsst_commtools.repos.gen3 import CollectionTree, Gen3Repository, find_exposures
from lsst_commtools.repos.gen3_audit import audit_gen3
from lsst_commtools.repos.holdings import Holdings
from lsst_commtools.repos.image import ImageId, ImageName
from lsst_commtools.repos.marks import is_repository
from lsst_commtools.repos.names import instrument_of_mapper
from lsst_commtools.repos.stations import locate_image
from lsst_commtools.repos.tree import is_folder, is_there
from lsst_commtools.repos.values import AuditReport, Chain, Located, Repository
from lsst_commtools.site.repos import RepositorySection, ReposSection

if TYPE_CHECKING:
    import pandas as pd
    from lsst.daf.butler import Butler

    from lsst_commtools.site import Site

__all__ = ["Repositories"]


# The class below has a method `list`, so types that are lists get their names here.
_Repositories = list[Repository]
_Notes = list[str]
_Lines = list[CheckLine]


class Repositories:
    """The repositories of a site.

    Parameters
    ----------
    site
        The site; `at` makes one for a folder.
    section
        Repositories instead of those of the site.
    """

    def __init__(self, site: Site | None = None, *, section: ReposSection | None = None) -> None:
        self.settings: ReposSection = section or (site.repos if site is not None else ReposSection())

    @classmethod
    def at(cls, folder: str | os.PathLike[str]) -> Self:
        """Take the repositories that lie below a folder.

        Parameters
        ----------
        folder
            For instance a copy of a teststand.

        Returns
        -------
        Repositories
            Labelled by the ends of their paths.
        """
        return cls(section=discover(folder))

    @functools.cached_property
    def index(self) -> dict[str, str]:
        """Gen3 labels and URIs, of the environment or the site."""
        return read_index(self.settings.index)

    @functools.cached_property
    def known(self) -> tuple[Repository, ...]:
        """All repositories, the internal ones and those of the Gen3 index included."""
        labels = {repository.label for repository in self._told}
        return (*self._told, *(self._indexed(label) for label in self.index if label not in labels))

    @functools.cached_property
    def _told(self) -> tuple[Repository, ...]:
        return tuple(_repository(label, entry) for label, entry in self.settings.repositories.items())

    def _indexed(self, label: str) -> Repository:
        return Repository(label, self.index[label], 3, _instrument(label))

    def list(self, *, internal: bool = False) -> pd.DataFrame:
        """Give the repositories that people should use.

        Parameters
        ----------
        internal
            Show the others as well.

        Returns
        -------
        pandas.DataFrame
            One row each, by label.
        """
        import pandas as pd

        columns = ["label", "generation", "instrument", "root", "writable", "internal"]
        rows = [[getattr(r, name) for name in columns] for r in self.known if internal or not r.internal]
        return pd.DataFrame(rows, columns=columns).set_index("label")

    def find(self, label: str) -> Repository:
        """Find the repository that people should use.

        Parameters
        ----------
        label
            Label, alias, camera or path.

        Returns
        -------
        Repository
            Never an internal one.

        Raises
        ------
        RefusedError
            If an internal one was asked for; the advice names the one to use.
        NotFoundError
            If there is none such, or if the name stands for several.
        """
        repository = self.get(label)
        if not repository.internal:
            return repository
        use = (
            f"Use {repository.linked_by!r}, which is linked to it."
            if repository.linked_by
            else "Nothing is linked to it yet."
        )
        raise RefusedError(f"{repository.label!r} is internal: it has no CALIB and no reruns.", advice=use)

    def get(self, label: str) -> Repository:
        """Find a repository, internal ones included.

        Parameters
        ----------
        label
            Label, alias, camera or path.

        Returns
        -------
        Repository
            The repository; one that the site does not know is taken by its path.

        Raises
        ------
        NotFoundError
            If there is none such, or if the name stands for several.
        """
        wanted = label.strip()
        try:
            known = self.known
        except CommtoolsError:
            if not _is_path(wanted):
                raise
            known = self._told  # a folder needs no index
        for names in (
            lambda r: [r.label],
            self._aliases,
            lambda r: [r.root, os.path.realpath(r.root)],
            _cameras,
        ):
            found = [r for r in known if wanted.lower() in [name.lower() for name in names(r)]]
            shown = [r for r in found if not r.internal] or found
            if len(shown) == 1:
                return shown[0]
            if shown:
                labels = ", ".join(repr(r.label) for r in shown)
                raise NotFoundError(
                    f"{label!r} stands for several repositories.", advice=f"Say which: {labels}."
                )
        if _is_path(wanted):
            return self._by_path(wanted)
        labels = ", ".join(repr(r.label) for r in known if not r.internal) or "none"
        raise NotFoundError(
            f"There is no repository {label!r}.", advice=f"There are: {labels}; or give a folder."
        )

    def _aliases(self, repository: Repository) -> tuple[str, ...]:
        entry = self.settings.repositories.get(repository.label)
        return entry.aliases if entry else ()

    def _by_path(self, path: str) -> Repository:
        if is_gen3(path):
            return Repository(path, path, 3, instrument_of_butler(path))
        real = os.path.realpath(path)
        inner = str(Path(real, "gen2repo"))
        if is_folder(inner):
            return next(
                (r for r in self.known if os.path.realpath(r.root) == inner), self._gen2(inner, source=real)
            )
        if not is_repository(real):
            raise NotFoundError(f"{path} is no repository of either generation.")
        return self._gen2(real)

    @staticmethod
    def _gen2(root: str, source: str = "") -> Repository:
        mapper = resolve_chain(root).mapper
        return Repository(root, root, 2, instrument_of_mapper(mapper) or "", source=source)

    def _take(self, repository: str | os.PathLike[str] | Repository) -> Repository:
        return repository if isinstance(repository, Repository) else self.get(os.fspath(repository))

    def chain(self, repository: str | os.PathLike[str] | Repository) -> Chain | CollectionTree:
        """Give what is searched, in order.

        Parameters
        ----------
        repository
            Label, path or repository.

        Returns
        -------
        Chain or CollectionTree
            Roots of a Gen2 repository with the traps in them; collections of a Gen3 one with what each holds.
        """
        if (
            not isinstance(repository, Repository)
            and is_folder(repository)
            and not is_gen3(os.fspath(repository))
        ):
            return resolve_chain(repository)
        taken = self._take(repository)
        if taken.generation == 2:
            return resolve_chain(taken.root)
        with self._gen3(taken, taken.instrument or "LSSTCam") as gen3:
            return gen3.tree()

    @contextlib.contextmanager
    def _gen3(self, repository: Repository, instrument: str) -> Iterator[Gen3Repository]:
        given = replace(repository, instrument=instrument)
        gen3 = Gen3Repository(given, self.index, self.settings.output_chain)
        try:
            yield gen3
        finally:
            gen3.close()

    def butler(
        self,
        repository: str,
        *,
        instrument: str | None = None,
        having: ImageName | None = None,
        writeable: bool = False,
    ) -> Butler:
        """Open a Gen3 repository with its camera's collections.

        Parameters
        ----------
        repository
            Label or path.
        instrument
            Camera, where the repository does not tell it.
        having
            An image; the site's fallbacks are tried where the repository lacks it, for data move from one to the other.
        writeable
            Whether it may be written to.

        Returns
        -------
        lsst.daf.butler.Butler
            The first repository that has the image, or the one that was asked for.

        Raises
        ------
        NotFoundError
            If no repository has the image, or the collections are missing.
        """
        there = {r.label for r in self.known}
        names = [repository, *(n for n in self.settings.fallbacks if n != repository and n in there)]
        tried = []
        for name in names if having is not None else names[:1]:
            taken = (
                self._take(name)
                if name not in self.index
                else Repository(name, self.index[name], 3, _instrument(name))
            )
            camera = get_camera(instrument or taken.instrument or "LSSTCam").name
            wanted = taken.collections or default_collections(camera)[:1]
            optional = (
                () if taken.collections else default_collections(camera, self.settings.output_chain)[1:]
            )
            butler = open_butler(
                taken.root,
                index=self.index,
                instrument=camera,
                collections=wanted,
                optional=optional,
                writeable=writeable,
            )
            if having is None or find_exposures(butler, ImageId.parse(having, camera), camera):
                return butler
            butler.close()
            tried.append(taken.label)
        raise NotFoundError(f"No repository has {having!r}.", advice=f"Tried were {', '.join(tried)}.")

    def locate(
        self, name: ImageName, repository: str | Repository | None = None, *, instrument: str | None = None
    ) -> Located:
        """Find out where an image is, or at which station it was lost.

        Parameters
        ----------
        name
            Obs id, file name, exposure id, or day_obs and seq_num.
        repository
            The repository that should have it; all that people should use by default.
        instrument
            Camera, where the name does not tell it.

        Returns
        -------
        Located
            All places, and the station.
        """
        image = ImageId.parse(name, instrument)
        notes: _Notes = []
        try:
            known = self.known
        except CommtoolsError as error:
            known = self._told
            notes.append(error.message)
        fitting = [r for r in known if image.instrument in (None, r.instrument) or not r.instrument]
        asked = [self._take(repository)] if repository is not None else [r for r in fitting if not r.internal]
        others = [r for r in fitting if r not in asked]
        return locate_image(image, asked, others, self._gen3, notes)

    def holdings(self, repository: str | os.PathLike[str] | Repository, day_obs: int) -> Holdings:
        """Count what a repository holds of a night.

        Parameters
        ----------
        repository
            Label, path or repository.
        day_obs
            The night.

        Returns
        -------
        Holdings
            Expected against present, for each detector of each exposure.
        """
        day_obs = check_day_obs(day_obs)
        taken = self._take(repository)
        if taken.generation == 2:
            items = Gen2Repository(taken).holdings(day_obs)
        else:
            if not taken.instrument:
                raise InputError(
                    f"The camera of {taken.label!r} is not known.", advice="Give the label of a camera."
                )
            with self._gen3(taken, taken.instrument) as gen3:
                items = gen3.holdings(day_obs)
        return Holdings(taken.label, day_obs, tuple(items))

    def audit(
        self,
        repository: str | os.PathLike[str] | Repository,
        *,
        storage: str | None = None,
        log: str | None = None,
        verify: bool = False,
        progress: Progress | None = None,
    ) -> AuditReport:
        """Audit a repository.

        Parameters
        ----------
        repository
            Label, path or repository.
        storage, log
            Folders that do not lie beside it.
        verify
            Read every file of a Gen3 repository whose checksum is recorded.
        progress
            Told what is being done.

        Returns
        -------
        AuditReport
            Counts and problems; nothing is written.
        """
        given = os.fspath(repository) if not isinstance(repository, Repository) else repository.root
        if is_folder(given) and not is_gen3(given):
            return audit_gen2(find_teststand_paths(given, storage, log), progress)
        taken = self._take(repository)
        if taken.generation == 2:
            return audit_gen2(find_teststand_paths(taken.source or taken.root, storage, log), progress)
        with self._gen3(taken, taken.instrument or "LSSTCam") as gen3:
            return audit_gen3(gen3, storage or taken.source or None, verify=verify, progress=progress)

    def check(self, now_utc: dt.datetime | None = None) -> _Lines:
        """Check all repositories that the site describes.

        Parameters
        ----------
        now_utc
            Time at which ages are judged, with time zone; now by default.

        Returns
        -------
        list of CheckLine
            Repository by repository.

        Raises
        ------
        NotFoundError
            If the site describes none: nothing checked is not good.
        """
        if not self.settings.repositories:
            raise NotFoundError(
                "The site describes no repositories.",
                advice="Describe them as docs/guides/find_an_image.md says.",
            )
        now = now_utc or dt.datetime.now(dt.UTC)
        return [
            line
            for label, entry in self.settings.repositories.items()
            for line in check_repository(_repository(label, entry), entry, now)
        ]


def _repository(label: str, entry: RepositorySection) -> Repository:
    home = os.path.expandvars(entry.path) if "$" in entry.path else entry.path
    return Repository(
        label,
        os.path.expanduser(home),  # noqa: PTH111 - it may be a URI
        entry.generation,
        get_camera(entry.instrument).name,
        entry.internal,
        entry.linked_by,
        entry.writable,
        os.path.expandvars(entry.source),
        entry.collections,
    )


def _instrument(label: str) -> str:
    try:
        return get_camera(label).name
    except NotFoundError:
        return ""


def _cameras(repository: Repository) -> tuple[str, ...]:
    if not repository.instrument:
        return ()
    camera = get_camera(repository.instrument)
    return (camera.name, *camera.aliases)


def _is_path(text: str) -> bool:
    return "://" in text or is_there(text)
