"""Star tables out of a Butler: all detectors of a visit as one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lsst_commtools.errors import NotFoundError
from lsst_commtools.qa.columns import ColumnMap
from lsst_commtools.qa.readers import RawTable, raw_table
from lsst_commtools.qa.tables import StarTable, make_star_table

if TYPE_CHECKING:
    import pandas as pd

    from lsst_commtools.qa.survey import SurveyStars

__all__ = ["own_summary_names", "read_visit", "read_visit_summary", "survey_of_collection"]


def read_visit(
    butler: Any,
    visit: int,
    *,
    dataset_type: str = "star_table",
    column_map: ColumnMap | None = None,
    **data_id: Any,
) -> StarTable:
    """Read the star tables of a visit.

    Parameters
    ----------
    butler
        ``lsst.daf.butler.Butler`` with default collections.
    visit
        Visit.
    dataset_type
        Tables of stars, one for each detector (or one for the visit): our ``star_table``, or LSST's source tables.
    column_map
        Where our quantities are; by default the map that fits the columns.
    **data_id
        Other parts of the data id, such as the instrument.

    Returns
    -------
    StarTable
        Stars of all detectors that have a table.

    Raises
    ------
    NotFoundError
        If there is none.
    TableError
        If a table lacks what the map names.
    """
    found = butler.query_datasets(dataset_type, visit=visit, explain=False, **data_id)
    tables = [raw_table(butler.get(reference)) for reference in found]
    if not tables:
        raise NotFoundError(f"The repository has no {dataset_type} of visit {visit}.")
    filled = [table for table in tables if table.n_rows] or tables[:1]
    names = [name for name in filled[0].columns if all(name in table.columns for table in filled)]
    joined = {name: np.concatenate([table.columns[name] for table in filled]) for name in names}
    raw = RawTable(joined, filled[0].units, sum(table.n_rows for table in filled))
    return make_star_table(raw, column_map, name=f"{dataset_type} of visit {visit}")


def survey_of_collection(
    repository: str, collection: str, *, dataset_type: str = "star_table", column_map: ColumnMap | None = None
) -> SurveyStars:
    """Read the star tables of all visits of a collection, for `qa.measure_ellipticity` and `qa.figures_of_survey`.

    Parameters
    ----------
    repository
        Butler repository.
    collection
        Collection.
    dataset_type, column_map
        As for `read_visit`: ``star_table`` of this package, ``single_visit_star`` or ``sourceTable_visit`` of LSST's.

    Returns
    -------
    SurveyStars
        All rows, with ``visit``.

    Raises
    ------
    NotFoundError
        If the repository or collection is not there, or has no tables.
    """
    from lsst.daf.butler import Butler, MissingCollectionError, MissingDatasetTypeError

    from lsst_commtools.qa.survey import SurveyStars, join_tables

    tables = []
    try:
        with Butler.from_config(repository, collections=[collection], writeable=False) as butler:
            found = butler.query_datasets(dataset_type, explain=False, limit=None)
            data_ids = sorted({(str(r.dataId["instrument"]), int(r.dataId["visit"])) for r in found})
            for instrument, visit in data_ids:
                table = read_visit(
                    butler, visit, dataset_type=dataset_type, column_map=column_map, instrument=instrument
                )
                tables.append(table.with_columns(visit=np.full(len(table), visit)))
    except (FileNotFoundError, MissingCollectionError) as error:
        raise NotFoundError(f"There is no collection {collection} in {repository}.") from error
    except MissingDatasetTypeError as error:
        raise NotFoundError(f"The repository {repository} has no dataset type {dataset_type}.") from error
    if not tables:
        raise NotFoundError(f"The collection {collection} has no {dataset_type}.")
    return SurveyStars(join_tables([table for table in tables if len(table)] or tables))


_SUMMARY_FIGURES = {
    "psfSigma": ("fwhm_pixel", 2.3548200450309493), "pixelScale": ("pixel_scale_arcsec", 1.0),
    "psfStarDeltaE1Median": ("de1_median", 1.0), "psfStarDeltaE2Median": ("de2_median", 1.0),
    "psfStarDeltaE1Scatter": ("de1_mad", 1.0), "psfStarDeltaE2Scatter": ("de2_mad", 1.0),
    "psfStarScaledDeltaSizeScatter": ("scaled_size_scatter", 1.0),
    "astromOffsetMean": ("astrometry_offset_mas", 1e3), "astromOffsetStd": ("astrometry_scatter_mas", 1e3),
    "psfTraceRadiusDelta": ("psf_trace_radius_delta_pixel", 1.0), "psfApFluxDelta": ("psf_ap_flux_delta", 1.0),
    "psfApCorrSigmaScaledDelta": ("psf_ap_corr_sigma_scaled_delta", 1.0),
    "maxDistToNearestPsf": ("max_distance_to_psf_star_pixel", 1.0),
    "starComa1Median": ("coma1", 1.0), "starComa2Median": ("coma2", 1.0),
    "starTrefoil1Median": ("trefoil1", 1.0), "starTrefoil2Median": ("trefoil2", 1.0),
    "starKurtosisMedian": ("kurtosis", 1.0),
}  # fmt: skip


def read_visit_summary(
    butler: Any, visit: int, *, dataset_type: str = "preliminary_visit_summary", **data_id: Any
) -> pd.DataFrame:
    """Read the pipeline's own figures of a visit, under our names, to stand beside ours.

    Parameters
    ----------
    butler
        ``lsst.daf.butler.Butler`` with default collections.
    visit
        Visit.
    dataset_type
        ``preliminary_visit_summary``, ``visit_summary``, or ``visitSummary`` of older runs.
    **data_id
        Other parts of the data id, such as the instrument.

    Returns
    -------
    pandas.DataFrame
        One row for each detector, indexed by ``detector``: those of LSST's columns that the table has, with our
        names and units (``psfSigma`` as ``fwhm_pixel``, and with ``pixelScale`` as ``fwhm_arcsec``).

    Raises
    ------
    NotFoundError
        If there is no summary of the visit.
    """
    found = butler.query_datasets(dataset_type, visit=visit, explain=False, **data_id)
    if not found:
        raise NotFoundError(f"The repository has no {dataset_type} of visit {visit}.")
    return own_summary_names(raw_table(butler.get(found[0])))


def own_summary_names(raw: RawTable) -> pd.DataFrame:
    """Give a visit summary our names and units.

    Parameters
    ----------
    raw
        Table with LSST's names; the detector is ``id``, ``detector_id`` or ``detector``.

    Returns
    -------
    pandas.DataFrame
        As of `read_visit_summary`.

    Raises
    ------
    NotFoundError
        If no column tells the detector.
    """
    import pandas as pd

    key = next((name for name in ("detector", "detector_id", "id") if name in raw.columns), None)
    if key is None:
        raise NotFoundError("The visit summary does not tell the detectors.")
    figures = {
        ours: np.asarray(raw.columns[theirs], dtype=np.float64) * factor
        for theirs, (ours, factor) in _SUMMARY_FIGURES.items()
        if theirs in raw.columns
    }
    if "fwhm_pixel" in figures and "pixel_scale_arcsec" in figures:
        figures["fwhm_arcsec"] = figures["fwhm_pixel"] * figures["pixel_scale_arcsec"]
    return pd.DataFrame(figures, index=pd.Index(np.asarray(raw.columns[key], np.int64), name="detector"))
