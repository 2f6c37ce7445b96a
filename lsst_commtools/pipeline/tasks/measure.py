"""The task that measures the sources of one calibrated image."""

from __future__ import annotations

# lsst.pipe.base takes dimensions as class keywords, of which mypy, without types for lsst, knows nothing.
# mypy: disable-error-code="call-arg"
from typing import Any

import lsst.pex.config as pex_config
import lsst.pipe.base as pipe_base
import lsst.pipe.base.connectionTypes as cT
from typing_extensions import override

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane
from lsst_commtools.pipeline.detect import DetectionSettings
from lsst_commtools.pipeline.measure import MeasureSettings, measure_image
from lsst_commtools.pipeline.stars import StarSettings
from lsst_commtools.pipeline.tables import empty_star_table, make_initial_table

__all__ = ["MeasureConfig", "MeasureConnections", "MeasureTask"]

_POINTING = ("RA", "DEC", "ROTPA")


class MeasureConnections(pipe_base.PipelineTaskConnections, dimensions=("instrument", "visit", "detector")):
    """Calibrated image in, star table out."""

    image = cT.Input(
        name="post_isr_image",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "exposure", "detector"),
        doc="Image in electrons.",
    )
    stars = cT.Output(
        name="star_table_initial",
        storageClass="ArrowTable",
        dimensions=("instrument", "visit", "detector"),
        doc="Sources with moments and PSF model, without sky positions.",
    )


class MeasureConfig(pipe_base.PipelineTaskConfig, pipelineConnections=MeasureConnections):
    """Settings of `MeasureTask`."""

    threshold_sigma = pex_config.Field[float](
        default=DetectionSettings.threshold_sigma, doc="Detection threshold above the background, sigma."
    )
    psf_star_snr = pex_config.Field[float](
        default=StarSettings.minimum_snr, doc="Least signal to noise of a PSF star, where there are enough."
    )


class MeasureTask(pipe_base.PipelineTask):
    """Detect and measure sources, choose PSF stars, model the PSF's moments."""

    ConfigClass = MeasureConfig
    _DefaultName = "measure"

    @override
    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        data_id = butlerQC.quantum.dataId
        result = self.run(
            butlerQC.get(inputRefs.image),
            visit=int(data_id["visit"]),
            detector=int(data_id["detector"]),
            band=str(data_id["band"] or ""),
            physical_filter=str(data_id["physical_filter"]),
        )
        butlerQC.put(result.stars, outputRefs.stars)

    @override
    def run(
        self, image: CalibratedImage, *, visit: int, detector: int, band: str, physical_filter: str
    ) -> pipe_base.Struct:
        """Measure one image.

        Parameters
        ----------
        image
            After instrument signature removal.
        visit, detector, band, physical_filter
            Data id.

        Returns
        -------
        lsst.pipe.base.Struct
            ``stars``: the ``star_table_initial``; without rows, and with the reason in its metadata, where the
            image cannot be measured.
        """
        notes: dict[str, Any] = {
            "shape": list(image.image.shape),
            "bad_amplifiers": str(image.header.get("BADAMPS") or ""),
            "calibrations": str(image.header.get("CALIBS") or ""),
            "n_saturated_pixels": int(((image.mask & int(MaskPlane.SAT)) != 0).sum()),
            "n_cosmic_ray_pixels": int(((image.mask & int(MaskPlane.CR)) != 0).sum()),
            "pointing": {key: image.header[key] for key in _POINTING if key in image.header},
        }
        if "MJD-MID" in image.header:
            notes["mid_exposure_mjd_tai"] = float(image.header["MJD-MID"])
        settings = MeasureSettings(
            detection=DetectionSettings(threshold_sigma=self.config.threshold_sigma),
            stars=StarSettings(minimum_snr=self.config.psf_star_snr),
        )
        try:
            measurement = measure_image(image, visit, detector, settings)
        except DataError as error:
            self.log.warning("Not measured: %s", error)
            return pipe_base.Struct(stars=empty_star_table({**notes, "failure": error.message}))
        self.log.info(
            "%d sources, %d PSF stars, FWHM about %.2f pixel",
            len(measurement.sources),
            int(measurement.candidate.sum()),
            measurement.sources.fwhm_pixel,
        )
        if measurement.failure:
            self.log.warning("No PSF model: %s", measurement.failure)
        stars = make_initial_table(
            measurement,
            visit=visit,
            detector=detector,
            band=band,
            physical_filter=physical_filter,
            notes=notes,
        )
        return pipe_base.Struct(stars=stars)
