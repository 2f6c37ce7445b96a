"""The task that gathers the detectors of a visit."""

from __future__ import annotations

# lsst.pipe.base takes dimensions as class keywords, of which mypy, without types for lsst, knows nothing.
# mypy: disable-error-code="call-arg"
from collections.abc import Mapping, Sequence
from typing import Any

import lsst.pipe.base as pipe_base
import lsst.pipe.base.connectionTypes as cT
import pyarrow as pa
from typing_extensions import override

from lsst_commtools.instrument.cameras import Camera, get_camera
from lsst_commtools.pipeline.summary import gather_visit

__all__ = ["VisitSummaryConfig", "VisitSummaryConnections", "VisitSummaryTask"]


class VisitSummaryConnections(pipe_base.PipelineTaskConnections, dimensions=("instrument", "visit")):
    """Summaries of detectors in, summary of the visit out."""

    raws = cT.Input(
        name="raw",
        storageClass="CommtoolsRaw",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
        doc="Tells which detectors have a raw image; never read.",
    )
    summaries = cT.Input(
        name="detector_summary",
        storageClass="ArrowTable",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        doc="Figures of each detector.",
    )
    output = cT.Output(
        name="visit_summary",
        storageClass="ArrowTable",
        dimensions=("instrument", "visit"),
        doc="One row for each detector that the camera has.",
    )


class VisitSummaryConfig(pipe_base.PipelineTaskConfig, pipelineConnections=VisitSummaryConnections):
    """`VisitSummaryTask` has no settings of its own."""


class VisitSummaryTask(pipe_base.PipelineTask):
    """Gather the detectors of a visit; those that are missing get a row with the reason."""

    ConfigClass = VisitSummaryConfig
    _DefaultName = "visit_summary"

    @override
    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        data_id = butlerQC.quantum.dataId
        camera = get_camera(str(data_id["instrument"]))
        with_raw = {int(ref.datasetRef.dataId["detector"]) for ref in inputRefs.raws}
        reasons = {
            detector.id: "processing failed" if detector.id in with_raw else "no raw"
            for detector in camera.science_detectors
        }
        result = self.run(
            butlerQC.get(inputRefs.summaries),
            camera=camera,
            visit=int(data_id["visit"]),
            reasons=reasons,
            band=str(data_id["band"] or ""),
            physical_filter=str(data_id["physical_filter"]),
        )
        butlerQC.put(result.output, outputRefs.output)

    @override
    def run(
        self,
        summaries: Sequence[pa.Table],
        *,
        camera: Camera,
        visit: int,
        reasons: Mapping[int, str],
        band: str,
        physical_filter: str,
    ) -> pipe_base.Struct:
        """Gather one visit.

        Parameters
        ----------
        summaries
            ``detector_summary`` tables.
        camera
            Says which detectors to expect.
        visit, band, physical_filter
            Data id.
        reasons
            Detector number to why it is missing, if it is.

        Returns
        -------
        lsst.pipe.base.Struct
            ``output``: the ``visit_summary``.
        """
        missing = len(camera.science_detectors) - len(summaries)
        if missing:
            self.log.warning("%d of %d detectors are missing", missing, len(camera.science_detectors))
        table = gather_visit(summaries, camera, visit, reasons, band=band, physical_filter=physical_filter)
        self.log.info("%d detectors in the summary", table.num_rows)
        return pipe_base.Struct(output=table)
