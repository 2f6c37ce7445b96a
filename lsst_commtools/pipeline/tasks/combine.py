"""The tasks that make bias, dark and flat of the night's calibration exposures."""

from __future__ import annotations

# lsst.pipe.base takes dimensions as class keywords, of which mypy, without types for lsst, knows nothing.
# mypy: disable-error-code="call-arg"
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lsst.pipe.base as pipe_base
import lsst.pipe.base.connectionTypes as cT
import numpy as np
from typing_extensions import override

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import CalibratedImage, RawImage
from lsst_commtools.pipeline.combine import combine_bias, combine_dark, combine_flat
from lsst_commtools.pipeline.isr import apply_calibrations, dark_time, read_out

__all__ = [
    "CombineBiasConfig",
    "CombineBiasConnections",
    "CombineBiasTask",
    "CombineDarkConfig",
    "CombineDarkConnections",
    "CombineDarkTask",
    "CombineFlatConfig",
    "CombineFlatConnections",
    "CombineFlatTask",
]


def _keep_type(
    inputs: dict[str, Any], label: str, observation_type: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keep the exposures of one type, which a connection cannot ask for by itself."""
    connection, refs = inputs["raws"]
    kept = [
        ref
        for ref in refs
        if str(ref.dataId.records["exposure"].observation_type).lower() == observation_type
    ]
    if not kept:
        raise pipe_base.NoWorkFound(f"{label}: there is no {observation_type} exposure.")
    return {"raws": (connection, kept)}, {}


class CombineBiasConnections(pipe_base.PipelineTaskConnections, dimensions=("instrument", "detector")):
    """Raw exposures in, mean bias out."""

    raws = cT.Input(
        name="raw",
        storageClass="CommtoolsRaw",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
        doc="Raw images; only those of type bias are used.",
    )
    output = cT.Output(
        name="bias",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        doc="Mean bias in electrons.",
    )

    @override
    def adjustQuantum(self, inputs: Any, outputs: Any, label: str, data_id: Any) -> Any:
        return _keep_type(inputs, label, "bias")


class CombineBiasConfig(pipe_base.PipelineTaskConfig, pipelineConnections=CombineBiasConnections):
    """`CombineBiasTask` has no settings of its own."""


class CombineBiasTask(pipe_base.PipelineTask):
    """Average bias exposures."""

    ConfigClass = CombineBiasConfig
    _DefaultName = "combine_bias"

    @override
    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        raws = (handle.get() for handle in butlerQC.get(inputRefs.raws))
        butlerQC.put(self.run([read_out(raw)[0] for raw in raws]).output, outputRefs.output)

    @override
    def run(self, images: Sequence[CalibratedImage]) -> pipe_base.Struct:
        """Average bias exposures of one detector.

        Parameters
        ----------
        images
            Overscan subtracted, in electrons.

        Returns
        -------
        lsst.pipe.base.Struct
            ``output``: the mean bias.
        """
        self.log.info("Bias of %d exposures", len(images))
        return pipe_base.Struct(output=combine_bias(images))


class CombineDarkConnections(pipe_base.PipelineTaskConnections, dimensions=("instrument", "detector")):
    """Raw exposures and bias in, dark current out."""

    raws = cT.Input(
        name="raw",
        storageClass="CommtoolsRaw",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
        doc="Raw images; only those of type dark are used.",
    )
    bias = cT.Input(
        name="bias",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        doc="Mean bias of the same run.",
    )
    output = cT.Output(
        name="dark",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        doc="Dark current in electrons per second.",
    )

    @override
    def adjustQuantum(self, inputs: Any, outputs: Any, label: str, data_id: Any) -> Any:
        return _keep_type(inputs, label, "dark")


class CombineDarkConfig(pipe_base.PipelineTaskConfig, pipelineConnections=CombineDarkConnections):
    """`CombineDarkTask` has no settings of its own."""


class CombineDarkTask(pipe_base.PipelineTask):
    """Average dark exposures to the dark current."""

    ConfigClass = CombineDarkConfig
    _DefaultName = "combine_dark"

    @override
    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        bias = butlerQC.get(inputRefs.bias)
        raws = [handle.get() for handle in butlerQC.get(inputRefs.raws)]
        butlerQC.put(self.run(raws, bias).output, outputRefs.output)

    @override
    def run(self, raws: Sequence[RawImage], bias: CalibratedImage | None) -> pipe_base.Struct:
        """Average dark exposures of one detector.

        Parameters
        ----------
        raws
            As the camera wrote them.
        bias
            Mean bias, or None.

        Returns
        -------
        lsst.pipe.base.Struct
            ``output``: the dark current.
        """
        self.log.info("Dark of %d exposures", len(raws))
        seconds = [_dark_time(raw) for raw in raws]
        # All exposures share the bias, so that its noise does not grow less with their number.
        known = None if bias is None else replace(bias, variance=np.zeros_like(bias.variance))
        output = combine_dark([apply_calibrations(read_out(raw)[0], known, None) for raw in raws], seconds)
        if bias is not None:
            output.variance += bias.variance * np.float32(np.mean(1 / np.asarray(seconds)) ** 2)
        return pipe_base.Struct(output=output)


def _dark_time(raw: RawImage) -> float:
    seconds = dark_time(raw.header)
    if seconds is None:
        raise DataError(f"{raw.header.get('OBSID', 'A dark')} does not say how long it collected charge.")
    return seconds


class CombineFlatConnections(
    pipe_base.PipelineTaskConnections, dimensions=("instrument", "detector", "physical_filter")
):
    """Raw exposures, bias and dark in, relative response out."""

    raws = cT.Input(
        name="raw",
        storageClass="CommtoolsRaw",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
        doc="Raw images; only those of type flat are used.",
    )
    bias = cT.Input(
        name="bias",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        doc="Mean bias of the same run.",
    )
    dark = cT.Input(
        name="dark",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
        doc="Dark current of the same run.",
    )
    output = cT.Output(
        name="flat",
        storageClass="CommtoolsImage",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
        doc="Relative response with a median of 1.",
    )

    @override
    def adjustQuantum(self, inputs: Any, outputs: Any, label: str, data_id: Any) -> Any:
        return _keep_type(inputs, label, "flat")


class CombineFlatConfig(pipe_base.PipelineTaskConfig, pipelineConnections=CombineFlatConnections):
    """`CombineFlatTask` has no settings of its own."""


class CombineFlatTask(pipe_base.PipelineTask):
    """Average flat exposures to the relative response."""

    ConfigClass = CombineFlatConfig
    _DefaultName = "combine_flat"

    @override
    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        bias = butlerQC.get(inputRefs.bias)
        dark = butlerQC.get(inputRefs.dark) if hasattr(inputRefs, "dark") else None
        raws = [handle.get() for handle in butlerQC.get(inputRefs.raws)]
        butlerQC.put(self.run(raws, bias, dark).output, outputRefs.output)

    @override
    def run(
        self, raws: Sequence[RawImage], bias: CalibratedImage | None, dark: CalibratedImage | None = None
    ) -> pipe_base.Struct:
        """Average flat exposures of one detector and filter.

        Parameters
        ----------
        raws
            As the camera wrote them.
        bias, dark
            Mean bias and dark current, or None.

        Returns
        -------
        lsst.pipe.base.Struct
            ``output``: the relative response.
        """
        self.log.info("Flat of %d exposures", len(raws))
        images = []
        for raw in raws:
            seconds = dark_time(raw.header)
            usable = dark if seconds is not None else None
            images.append(
                apply_calibrations(read_out(raw)[0], bias, None, dark=usable, dark_time_s=seconds or 0.0)
            )
        return pipe_base.Struct(output=combine_flat(images))
