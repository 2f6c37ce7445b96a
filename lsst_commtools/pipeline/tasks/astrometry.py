"""The task that fits the WCS of one detector and sums the detector up."""

from __future__ import annotations

# lsst.pipe.base takes dimensions as class keywords, of which mypy, without types for lsst, knows nothing.
# mypy: disable-error-code="call-arg"
from collections.abc import Mapping, Sequence
from typing import Any

import lsst.pex.config as pex_config
import lsst.pipe.base as pipe_base
import lsst.pipe.base.connectionTypes as cT
import numpy as np
import pyarrow as pa
from typing_extensions import override

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.cameras import Camera, Detector, get_camera
from lsst_commtools.instrument.pointing import nominal_wcs
from lsst_commtools.pipeline.astrometry import (
    AstrometrySettings,
    AstrometrySolution,
    ReferenceStars,
    failed_solution,
    read_references,
    solve_astrometry,
)
from lsst_commtools.pipeline.schema import table_arrays, table_notes
from lsst_commtools.pipeline.stars import choose_brightest
from lsst_commtools.pipeline.summary import summarise_detector
from lsst_commtools.pipeline.tables import add_astrometry

__all__ = ["AstrometryConfig", "AstrometryConnections", "AstrometryTask"]


class AstrometryConnections(
    pipe_base.PipelineTaskConnections,
    dimensions=("instrument", "visit", "detector"),
    defaultTemplates={"refcat": "gaia_refcat"},
):
    """Star table and reference catalogue in, star table with sky positions and summary out."""

    initial = cT.Input(
        name="star_table_initial",
        storageClass="ArrowTable",
        dimensions=("instrument", "visit", "detector"),
        doc="Sources with moments and PSF model.",
    )
    references = cT.PrerequisiteInput(
        name="{refcat}",
        storageClass="ArrowNumpyDict",
        dimensions=("htm7",),
        multiple=True,
        deferLoad=True,
        minimum=0,
        doc="Shards of the reference catalogue.",
    )
    stars = cT.Output(
        name="star_table",
        storageClass="ArrowTable",
        dimensions=("instrument", "visit", "detector"),
        doc="Sources with sky positions, reference stars and residuals.",
    )
    summary = cT.Output(
        name="detector_summary",
        storageClass="ArrowTable",
        dimensions=("instrument", "visit", "detector"),
        doc="Figures of the detector, one row.",
    )


class AstrometryConfig(pipe_base.PipelineTaskConfig, pipelineConnections=AstrometryConnections):
    """Settings of `AstrometryTask`."""

    order = pex_config.RangeField[int](
        default=AstrometrySettings.order, min=1, max=9, doc="Highest order of the WCS polynomial."
    )
    max_shift_arcsec = pex_config.Field[float](
        default=AstrometrySettings.max_shift_arcsec, doc="Largest pointing error that is looked for, arcsec."
    )
    bright_snr = pex_config.Field[float](
        default=50.0, doc="Signal to noise above which a star's own noise is small beside the atmosphere's."
    )
    least_snr = pex_config.Field[float](
        default=15.0, doc="Signal to noise down to which fainter stars complete too few bright ones."
    )
    wanted_stars = pex_config.Field[int](default=60, doc="How many bright stars are enough.")
    reference_flux = pex_config.Field[str](
        default="phot_g_mean_flux", doc="Flux column of the reference catalogue, nJy."
    )


class AstrometryTask(pipe_base.PipelineTask):
    """Match stars to the reference at the epoch of the exposure and fit the WCS."""

    ConfigClass = AstrometryConfig
    _DefaultName = "astrometry"

    @override
    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        data_id = butlerQC.quantum.dataId
        camera = get_camera(str(data_id["instrument"]))
        result = self.run(
            butlerQC.get(inputRefs.initial),
            [reference.get() for reference in butlerQC.get(inputRefs.references)],
            camera=camera,
            detector=camera.detector(int(data_id["detector"])),
            visit=int(data_id["visit"]),
            band=str(data_id["band"] or ""),
            physical_filter=str(data_id["physical_filter"]),
        )
        butlerQC.put(result.stars, outputRefs.stars)
        butlerQC.put(result.summary, outputRefs.summary)

    @override
    def run(
        self,
        initial: pa.Table,
        references: Sequence[Mapping[str, Any]],
        *,
        camera: Camera,
        detector: Detector,
        visit: int,
        band: str,
        physical_filter: str,
    ) -> pipe_base.Struct:
        """Fit the WCS of one detector.

        Parameters
        ----------
        initial
            Its ``star_table_initial``.
        references
            Shards of the reference catalogue: column name to array.
        camera, detector
            What took the image.
        visit, band, physical_filter
            Data id.

        Returns
        -------
        lsst.pipe.base.Struct
            ``stars`` and ``summary``; a fit that is not possible is told in the summary's ``failure``.
        """
        notes = table_notes(initial)
        shards = self._read(references, float(notes.get("mid_exposure_mjd_tai", np.nan)))
        solution = self._solve(initial, notes, shards, camera, detector)
        if solution.fit is None:
            self.log.warning("No WCS: %s", solution.failure)
        else:
            self.log.info(
                "WCS of order %d from %d of %d matched stars",
                solution.fit.order,
                solution.fit.n_used,
                len(solution.star),
            )
        stars = add_astrometry(initial, solution, shards)
        identity = {
            "visit": visit,
            "detector": detector.id,
            "detector_name": detector.name,
            "band": band,
            "physical_filter": physical_filter,
        }
        summary = summarise_detector(stars, solution, identity, camera.pixel_scale_arcsec)
        return pipe_base.Struct(stars=stars, summary=summary)

    def _read(self, references: Sequence[Mapping[str, Any]], epoch_mjd_tai: float) -> ReferenceStars:
        parts = [
            read_references(columns, epoch_mjd_tai, self.config.reference_flux) for columns in references
        ]
        if not parts:
            return ReferenceStars(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0), np.empty(0))
        return ReferenceStars(
            np.concatenate([part.id for part in parts]),
            np.concatenate([part.ra_deg for part in parts]),
            np.concatenate([part.dec_deg for part in parts]),
            np.concatenate([part.mag for part in parts]),
        )

    def _solve(
        self,
        initial: pa.Table,
        notes: dict[str, Any],
        references: ReferenceStars,
        camera: Camera,
        detector: Detector,
    ) -> AstrometrySolution:
        shape = (int(notes["shape"][0]), int(notes["shape"][1]))
        columns = table_arrays(initial)
        flags = ("pixelFlags_saturated", "pixelFlags_edge", "pixelFlags_cr", "deblend_blended")
        usable = choose_brightest(
            columns["snr"],
            ~np.any([columns[flag] for flag in flags], axis=0),
            bright=self.config.bright_snr,
            least=self.config.least_snr,
            wanted=self.config.wanted_stars,
        )
        settings = AstrometrySettings(order=self.config.order, max_shift_arcsec=self.config.max_shift_arcsec)
        try:
            nominal = nominal_wcs(notes["pointing"], camera, detector, shape)
        except DataError as error:
            return failed_solution(error.message)
        return solve_astrometry(
            columns["x"],
            columns["y"],
            usable,
            nominal=nominal,
            shape=shape,
            references=references,
            settings=settings,
        )
