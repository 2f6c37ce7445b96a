"""How people name an image: obs id, file name, exposure id, or day_obs and seq_num."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from lsst_commtools.errors import IdentifierError
from lsst_commtools.ids import (
    CONTROLLERS,
    FileId,
    ObsId,
    check_day_obs,
    check_seq_num,
    exposure_id,
    parse_exposure_id,
)
from lsst_commtools.instrument.cameras import get_camera

__all__ = ["ImageId", "ImageName"]

ImageName = str | int | ObsId | FileId | tuple[int, int]
"""What `ImageId.parse` takes."""


@dataclass(frozen=True)
class ImageId:
    """An image, as far as its name tells.

    Parameters
    ----------
    day_obs, seq_num
        When it was taken.
    controllers
        Controllers that may have taken it.
    instrument
        Butler name of the camera, None if the name does not tell it.
    detector
        Detector name, None for all.
    """

    day_obs: int
    seq_num: int
    controllers: str = CONTROLLERS
    instrument: str | None = None
    detector: str | None = None

    @classmethod
    def parse(cls, name: ImageName, instrument: str | None = None) -> Self:
        """Read the name of an image.

        Parameters
        ----------
        name
            Obs id, raw file name, exposure id, ``(day_obs, seq_num)``, or ``day_obs/seq_num``.
        instrument
            Camera, where the name does not tell it.

        Returns
        -------
        ImageId
            The image.

        Raises
        ------
        IdentifierError
            If it names no image.
        """
        camera = get_camera(instrument).name if instrument else None
        if isinstance(name, tuple):
            return cls(check_day_obs(name[0]), check_seq_num(name[1]), instrument=camera)
        text = str(name).strip().rsplit("/", 1)[-1] if str(name).count("_") else str(name).strip()
        if text.isdigit():
            day_obs, seq_num, controllers = parse_exposure_id(text)
            return cls(day_obs, seq_num, controllers, camera)
        day, slash, number = text.partition("/")
        if slash and day.isdigit() and number.isdigit():
            return cls(check_day_obs(day), check_seq_num(number), instrument=camera)
        try:
            file = FileId.parse(text)
            obs_id, detector = file.obs_id, file.detector
        except IdentifierError:
            try:
                obs_id, detector = ObsId.parse(text.split(".", 1)[0]), None
            except IdentifierError:
                raise IdentifierError(
                    f"{name!r} does not name an image.",
                    advice="Give an obs id (AT_O_20240624_000106), an exposure id (2024062400106) or day_obs/seq_num.",
                ) from None
        return cls(obs_id.day_obs, obs_id.seq_num, obs_id.controller, obs_id.instrument, detector)

    def __contains__(self, obs_id: object) -> bool:
        return (
            isinstance(obs_id, ObsId)
            and (obs_id.day_obs, obs_id.seq_num) == (self.day_obs, self.seq_num)
            and obs_id.controller in self.controllers
            and self.instrument in (None, obs_id.instrument)
        )

    @property
    def exposure_ids(self) -> tuple[int, ...]:
        """Ids under which it may be known: with the controller's term, and without, as until 2019-11-19."""
        plain = self.day_obs * 100_000 + self.seq_num
        ids = [exposure_id(self.day_obs, self.seq_num, controller) for controller in self.controllers]
        return tuple(dict.fromkeys([*ids, plain]))

    @property
    def text(self) -> str:
        """The name for people: the obs id where it is known."""
        if self.instrument and len(self.controllers) == 1:
            code = get_camera(self.instrument).code
            return str(ObsId(code, self.controllers, self.day_obs, self.seq_num))
        return f"{self.day_obs}/{self.seq_num}"
