"""Read a processed night back from the Butler."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import pyarrow as pa

from lsst_commtools.errors import NotFoundError
from lsst_commtools.ids import check_day_obs
from lsst_commtools.instrument.cameras import Camera, get_camera
from lsst_commtools.night.settings import newest_night, read_claim
from lsst_commtools.pipeline.schema import table_notes

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["Night"]


class Night:
    """A processed night: its visits, their summaries and their stars.

    Parameters
    ----------
    site
        Names the dataset types in which star tables and visit summaries are looked for.
    repository
        Folder, label or URI of the Butler repository.
    day_obs
        The night.
    instrument
        Camera, by Butler name or another usual spelling.
    collections
        Where the pipeline's outputs are; by default the output collection that ``commtools night`` writes.

    Raises
    ------
    NotFoundError
        If there is no such repository or collection.
    """

    def __init__(
        self,
        site: Site,
        repository: str | Path,
        day_obs: int,
        instrument: str,
        collections: str | Iterable[str] = (),
    ) -> None:
        from lsst.daf.butler import Butler, MissingCollectionError

        self.camera: Camera = get_camera(instrument)
        self.day_obs = check_day_obs(day_obs)
        self._names = site.data
        wanted = [collections] if isinstance(collections, str) else list(collections)
        self.collections = [name for name in wanted if name] or [
            f"{self.camera.name}/runs/night/{self.day_obs}"
        ]
        try:
            self._butler = Butler.from_config(str(repository), writeable=False)
            known = set(self._butler.collections.query(self.collections))
        except MissingCollectionError:
            known = set()
        except (FileNotFoundError, OSError) as error:
            raise NotFoundError(
                f"There is no Butler repository at {repository}.",
                advice="Run 'commtools night', or name another.",
            ) from error
        if not known:
            raise NotFoundError(
                f"The repository {repository} has no collection {', '.join(self.collections)}.",
                advice="Has this night been processed? 'commtools repo holdings' shows what is there.",
            )

    @classmethod
    def find(
        cls,
        site: Site,
        *,
        work: str | Path = "",
        repository: str | Path = "",
        day_obs: int = 0,
        instrument: str = "",
        collection: str = "",
    ) -> Self:
        """Find a processed night from as much as a person wants to say.

        Parameters
        ----------
        site
            Says where nights are kept and which camera is meant by default.
        work
            Work folder of ``commtools night``; by default the one of that night, or else the newest.
        repository
            Butler repository, if it is not that of the work folder.
        day_obs, instrument
            The night; by default what the work folder says.
        collection
            Collection of the outputs, if it is not that of ``commtools night``.

        Returns
        -------
        Night
            The night.

        Raises
        ------
        NotFoundError
            If there is none such.
        """
        if repository:
            return cls(site, repository, day_obs, instrument or site.data.instrument, collection)
        folder = Path(work) if work else newest_night(site, day_obs, instrument)
        claim = read_claim(folder)
        return cls(
            site,
            claim.get("repository") or folder / "repo",
            day_obs or int(claim["day_obs"]),
            instrument or str(claim["instrument"]),
            collection,
        )

    def visit_summaries(self) -> pd.DataFrame:
        """Read the summaries of all visits of the night.

        Returns
        -------
        pandas.DataFrame
            One row for each expected detector of each visit, by visit and detector.
        """
        tables = self._read(self._names.visit_summaries)
        if not tables:
            return pd.DataFrame(columns=["visit", "detector"])
        return pd.concat(tables, ignore_index=True).sort_values(["visit", "detector"], ignore_index=True)

    def stars(self, visit: int, detector: int | None = None) -> pd.DataFrame:
        """Read the stars of a visit.

        Parameters
        ----------
        visit
            Visit.
        detector
            Detector number; by default all.

        Returns
        -------
        pandas.DataFrame
            Columns of the pipeline's star table; empty if there is none. Where the pipeline tells the rows and columns
            of the assembled images, they are ``attrs["shape"]``.
        """
        data_id = {"visit": visit} | ({} if detector is None else {"detector": detector})
        tables = self._read(self._names.star_tables, **data_id)
        if not tables:
            return pd.DataFrame()
        stars = pd.concat(tables, ignore_index=True)
        stars.attrs = dict(tables[0].attrs)
        return stars

    def _read(self, names: Iterable[str], **data_id: int) -> list[pd.DataFrame]:
        """Read all datasets of the first type that has any."""
        from lsst.daf.butler import MissingDatasetTypeError

        where = f"day_obs={self.day_obs}" + "".join(f" AND {key}={value}" for key, value in data_id.items())
        for name in names:
            try:
                refs = self._butler.query_datasets(
                    name, self.collections, where=where, instrument=self.camera.name, explain=False
                )
            except MissingDatasetTypeError:
                continue
            if refs:
                return [self._frame(ref) for ref in sorted(refs)]
        return []

    def _frame(self, ref: Any) -> pd.DataFrame:
        table = self._butler.get(ref)
        if isinstance(table, pd.DataFrame):
            return table
        frame: pd.DataFrame = table.to_pandas()
        if isinstance(table, pa.Table) and (shape := table_notes(table).get("shape")):
            frame.attrs = {"shape": tuple(shape)}
        return frame
