"""Where the images of a rehearsal come from, and what may be expected of them."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from lsst_commtools.errors import CommtoolsError, InputError
from lsst_commtools.ids import ObsId, day_obs_date
from lsst_commtools.ingest.transfer import find_raw_files
from lsst_commtools.instrument.cameras import Camera
from lsst_commtools.night.counts import file_of_image

if TYPE_CHECKING:
    from lsst_commtools.instrument.headers import ObservationInfo
    from lsst_commtools.rehearsal.settings import RehearsalSettings
    from lsst_commtools.site.rehearsal import RehearsalSection

__all__ = [
    "BENCH",
    "ON_SKY",
    "Dataset",
    "Expectations",
    "Shot",
    "expected_of",
    "find_nights",
    "find_shots",
    "open_dataset",
]

CALIBRATION_TYPES = ("bias", "dark", "flat")
BENCH_PIPELINE = resources.files("lsst_commtools.rehearsal") / "data" / "bench.yaml"
SIMULATED_NIGHT = dt.date(2026, 11, 20)
SIMULATED_CALIBRATIONS = 3
READOUT_S = 2.0
"""From shutter close to a file on the summit's disk."""


@dataclass(frozen=True)
class Expectations:
    """What a dataset is held against.

    Parameters
    ----------
    name
        ``simulated``, ``on-sky`` or ``bench``.
    sky
        Whether stars are expected, and with them a WCS and a PSF.
    pipeline
        Name of the pipeline that is run on its exposures.
    note
        What a reader of the report should know.
    """

    name: str
    sky: bool
    pipeline: str
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Give them as plain values."""
        return {"name": self.name, "sky": self.sky, "pipeline": self.pipeline, "note": self.note}


SIMULATED = Expectations(
    "simulated",
    True,
    "night.yaml",
    "Simulated sky: its truth is known, and each figure can be held against it.",
)
ON_SKY = Expectations("on-sky", True, "night.yaml", "Images of the sky: a WCS and a PSF are expected.")
BENCH = Expectations(
    "bench",
    False,
    "bench.yaml",
    "Bench images without a sky: the instrument's signature is removed; neither WCS nor PSF is expected.",
)


@dataclass(frozen=True)
class Shot:
    """One exposure of the dataset, as it will appear on the summit.

    Parameters
    ----------
    obs_id
        Its name.
    observation_type
        ``bias``, ``dark``, ``flat``, or what its header says.
    physical_filter
        What it is taken through.
    closes_tai
        When its shutter closes, without time zone, on the TAI scale.
    files
        One for each detector, relative to the folder of raw files.
    """

    obs_id: str
    observation_type: str
    physical_filter: str
    closes_tai: dt.datetime
    files: tuple[str, ...]

    @property
    def calibration(self) -> bool:
        """Whether it calibrates."""
        return self.observation_type in CALIBRATION_TYPES

    @property
    def exposure_id(self) -> int:
        """Number of the exposure."""
        return ObsId.parse(self.obs_id).exposure_id

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self) | {"closes_tai": self.closes_tai.isoformat(), "files": list(self.files)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Parameters
        ----------
        values
            Plain values.

        Returns
        -------
        Shot
            The same.
        """
        return cls(
            str(values["obs_id"]),
            str(values["observation_type"]),
            str(values["physical_filter"]),
            dt.datetime.fromisoformat(values["closes_tai"]),
            tuple(values["files"]),
        )

    @property
    def appears_utc(self) -> dt.datetime:
        """When its files are on the summit's disk: time of the rehearsal, UTC."""
        from astropy.time import Time

        utc: dt.datetime = Time(self.closes_tai, scale="tai").utc.to_datetime(dt.UTC)
        return utc + dt.timedelta(seconds=READOUT_S)


class Dataset(Protocol):
    """Where images come from."""

    @property
    def expectations(self) -> Expectations:
        """What it is held against."""

    def prepare(self, day_obs: int, progress: Callable[[int, int], None] | None = None) -> Path:
        """Have the images of a night.

        Parameters
        ----------
        day_obs
            The night.
        progress
            Called with the images done and the images planned.

        Returns
        -------
        pathlib.Path
            Folder of its raw files.
        """


@dataclass(frozen=True)
class SimulatedDataset:
    """A simulated sky: one observatory, another night each time.

    Parameters
    ----------
    settings
        The rehearsal.
    section
        The site's settings of rehearsals: how large the images are.
    """

    settings: RehearsalSettings
    section: RehearsalSection

    @property
    def expectations(self) -> Expectations:
        """What it is held against."""
        return SIMULATED

    def prepare(self, day_obs: int, progress: Callable[[int, int], None] | None = None) -> Path:
        """Simulate the night, or complete it."""
        from lsst_commtools.simulate import simulate_night

        night = simulate_night(
            self.settings.work / "simulated" / str(day_obs),
            camera=self.settings.instrument,
            day_obs=day_obs,
            visits=self.settings.visits,
            biases=SIMULATED_CALIBRATIONS,
            darks=SIMULATED_CALIBRATIONS,
            flats=SIMULATED_CALIBRATIONS,
            seed=self.settings.seed + self.settings.nights.index(day_obs),
            observatory_seed=self.settings.seed,
            size=(self.section.image_rows, self.section.image_columns),
            processes=self.settings.processes,
            progress=progress,
        )
        return night.raw


@dataclass(frozen=True)
class RecordedDataset:
    """Raw files that were taken before.

    Parameters
    ----------
    folder
        Where they lie.
    expectations
        What they are held against.
    """

    folder: Path
    expectations: Expectations

    def prepare(self, day_obs: int, progress: Callable[[int, int], None] | None = None) -> Path:
        """Look whether the folder is there."""
        if not self.folder.is_dir():
            raise InputError(
                f"The dataset {self.folder} is gone.", advice=f"Bring the files of {day_obs} back."
            )
        if progress is not None:
            progress(1, 1)
        return self.folder


def open_dataset(settings: RehearsalSettings, section: RehearsalSection) -> Dataset:
    """Open the dataset of a rehearsal.

    Parameters
    ----------
    settings
        The rehearsal.
    section
        The site's settings of rehearsals.

    Returns
    -------
    Dataset
        Simulated or recorded.
    """
    if settings.simulated:
        return SimulatedDataset(settings, section)
    return RecordedDataset(Path(settings.dataset), BENCH if settings.expects == BENCH.name else ON_SKY)


def expected_of(folder: Path, camera: Camera, nights: Iterable[int]) -> Expectations:
    """Tell what recorded images are to be held against.

    Parameters
    ----------
    folder
        Where they lie.
    camera
        The camera.
    nights
        The day_obs of each night.

    Returns
    -------
    Expectations
        Images without any of the sky are those of a bench.
    """
    shots = (shot for night in nights for shot in find_shots(folder, camera, night))
    return ON_SKY if any(shot.observation_type == "science" for shot in shots) else BENCH


def find_nights(folder: Path, camera: Camera) -> list[int]:
    """Tell which nights a folder of raw files holds.

    Parameters
    ----------
    folder
        Where they lie.
    camera
        Files of other cameras do not count.

    Returns
    -------
    list of int
        Each day_obs, in order.
    """
    files = (file_of_image(path.name, camera) for path in find_raw_files(folder))
    return sorted({file.obs_id.day_obs for file in files if file})


def find_shots(raw: Path, camera: Camera, day_obs: int) -> list[Shot]:
    """List the exposures of a night among raw files.

    Parameters
    ----------
    raw
        Folder of raw files.
    camera
        The camera.
    day_obs
        The night.

    Returns
    -------
    list of Shot
        In the order in which their shutters closed. A file whose header cannot be read follows the name of its
        exposure; what it is worth is seen at ingest.
    """
    by_exposure: dict[str, list[Path]] = defaultdict(list)
    for path in find_raw_files(raw):
        file = file_of_image(path.name, camera)
        if file is not None and file.obs_id.day_obs == day_obs:
            by_exposure[str(file.obs_id)].append(path)
    shots = [_shot(obs_id, files, raw, day_obs) for obs_id, files in by_exposure.items()]
    return sorted(shots, key=lambda shot: (shot.closes_tai, shot.obs_id))


def _shot(obs_id: str, files: Sequence[Path], raw: Path, day_obs: int) -> Shot:
    """Read of each file what it says of its exposure; what most say counts, since single headers may be wrong."""
    names = tuple(path.relative_to(raw).as_posix() for path in files)
    told = [info for info in map(_read, files) if info is not None]
    if not told:
        midnight = dt.datetime.combine(day_obs_date(day_obs), dt.time()) + dt.timedelta(days=1)
        return Shot(obs_id, "unknown", "unknown", midnight, names)
    kind, physical_filter, closes = Counter(
        (info.observation_type, info.physical_filter, info.end_tai) for info in told
    ).most_common(1)[0][0]
    return Shot(obs_id, kind, physical_filter, closes, names)


def _read(path: Path) -> ObservationInfo | None:
    from lsst_commtools.instrument.headers import translate
    from lsst_commtools.instrument.raws import read_raw_header

    try:
        return translate(read_raw_header(path))
    except CommtoolsError:
        return None
