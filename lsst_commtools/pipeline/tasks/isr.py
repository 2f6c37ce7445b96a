"""The task that removes the instrument signature of one raw image."""

from __future__ import annotations

# lsst.pipe.base takes dimensions as class keywords, of which mypy, without types for lsst, knows nothing.
# mypy: disable-error-code="call-arg"
import math
from typing import Any

import lsst.pex.config as pex_config
import lsst.pipe.base as pipe_base
import lsst.pipe.base.connectionTypes as cT
from astropy.time import Time
from typing_extensions import override

from lsst_commtools.instrument.images import CalibratedImage, MaskPlane, RawImage
from lsst_commtools.pipeline.cosmics import fill_pixels, find_cosmic_rays
from lsst_commtools.pipeline.isr import IsrSettings, apply_calibrations, dark_time, read_out

__all__ = ["IsrConfig", "IsrConnections", "IsrTask"]

_UNUSABLE = int(MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.SAT)


class IsrConnections(pipe_base.PipelineTaskConnections, dimensions=("instrument", "exposure", "detector")):
    """Raw image and calibrations in, calibrated image out."""

    raw = cT.Input(
        name="raw",
        storageClass="CommtoolsRaw",
        dimensions=("instrument", "exposure", "detector"),
        doc="Raw image of one detector.",
    )
    bias = cT.PrerequisiteInput(
        name="bias",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
        doc="Mean bias, certified for the time of the exposure.",
    )
    dark = cT.PrerequisiteInput(
        name="dark",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
        doc="Dark current, certified for the time of the exposure.",
    )
    flat = cT.PrerequisiteInput(
        name="flat",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
        minimum=0,
        doc="Relative response, certified for the time of the exposure.",
    )
    output = cT.Output(
        name="post_isr_image",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "exposure", "detector"),
        doc="Image in electrons with variance and mask.",
    )


class IsrConfig(pipe_base.PipelineTaskConfig, pipelineConnections=IsrConnections):
    """Settings of `IsrTask`."""

    saturation_electron = pex_config.Field[float](
        default=IsrSettings.saturation_electron, doc="Charge above which a pixel is saturated, electron."
    )
    narrowest_fwhm_pixel = pex_config.Field[float](
        default=2.2, doc="FWHM of the sharpest star that can occur; what is sharper is a cosmic ray, pixel."
    )


class IsrTask(pipe_base.PipelineTask):
    """Remove the instrument signature: overscan, gains, bias, dark, flat, saturation, dead amplifiers, cosmic rays."""

    ConfigClass = IsrConfig
    _DefaultName = "isr"

    @override
    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        inputs = butlerQC.get(inputRefs)
        image = self.run(**inputs).output
        image.header |= _pointing(butlerQC.quantum.dataId.records["exposure"])
        butlerQC.put(image, outputRefs.output)

    @override
    def run(
        self,
        raw: RawImage,
        bias: CalibratedImage | None = None,
        flat: CalibratedImage | None = None,
        dark: CalibratedImage | None = None,
    ) -> pipe_base.Struct:
        """Calibrate one raw image.

        Parameters
        ----------
        raw
            As the camera wrote it.
        bias, flat, dark
            Calibrations, or None where none is certified.

        Returns
        -------
        lsst.pipe.base.Struct
            ``output``: the `CalibratedImage`.
        """
        settings = IsrSettings(saturation_electron=self.config.saturation_electron)
        image, amplifiers = read_out(raw, settings)
        seconds = dark_time(raw.header)
        if dark is not None and seconds is None:
            self.log.warning("The dark is not applied: the header has no dark time")
            dark = None
        image = apply_calibrations(image, bias, flat, settings, dark=dark, dark_time_s=seconds or 0.0)
        usable = (image.mask & _UNUSABLE) == 0
        hit = find_cosmic_rays(
            image.image, image.variance, usable, narrowest_fwhm_pixel=self.config.narrowest_fwhm_pixel
        )
        fill_pixels(image.image, hit, usable)
        image.mask[hit] |= int(MaskPlane.CR)
        bad = [f"{a.name}: {a.fault}" for a in amplifiers if a.fault]
        applied = [
            name for name, frame in (("bias", bias), ("dark", dark), ("flat", flat)) if frame is not None
        ]
        image.header["BADAMPS"] = "; ".join(bad)
        image.header["CALIBS"] = ", ".join(applied)
        for fault in bad:
            self.log.warning("Amplifier %s", fault)
        if bias is None or flat is None:  # not every night has darks, nor every camera a need for them
            self.log.warning("Calibrations applied: %s", ", ".join(applied) or "none")
        self.log.info("%d amplifiers, %d cosmic-ray pixels", len(amplifiers), int(hit.sum()))
        return pipe_base.Struct(output=image)


def _pointing(record: Any) -> dict[str, Any]:
    """Header cards of the pointing from the exposure's record, in which the headers' lies are mended."""
    cards: dict[str, Any] = {}
    for key, value in (
        ("RA", record.tracking_ra),
        ("DEC", record.tracking_dec),
        ("ROTPA", record.sky_angle),
    ):
        if value is not None and math.isfinite(value):
            cards[key] = float(value)
    begin, end = (getattr(record.timespan, bound, None) for bound in ("begin", "end"))
    if isinstance(begin, Time) and isinstance(end, Time):
        cards["MJD-MID"] = 0.5 * float(begin.tai.mjd + end.tai.mjd)
    return cards
