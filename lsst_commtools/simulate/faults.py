"""What can go wrong in a simulated night, and where it goes wrong."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lsst_commtools.errors import InputError

__all__ = ["Fault", "FaultPlan", "parse_faults", "place_faults"]


class Fault(enum.Enum):
    """A fault of the night, by the name that the command line takes."""

    DEAD_AMPLIFIER = "dead-amplifier"
    TRAILED_VISIT = "trailed-visit"
    DEFOCUSED_VISIT = "defocused-visit"
    MISSING_DETECTOR = "missing-detector"
    TRUNCATED_FILE = "truncated-file"
    WRONG_HEADER = "wrong-header"
    DUPLICATE = "duplicate"
    COLLISION = "collision"


_OF_A_VISIT = (Fault.TRAILED_VISIT, Fault.DEFOCUSED_VISIT)
_OF_AN_IMAGE = (
    Fault.MISSING_DETECTOR,
    Fault.TRUNCATED_FILE,
    Fault.WRONG_HEADER,
    Fault.DUPLICATE,
    Fault.COLLISION,
)


@dataclass(frozen=True)
class FaultPlan:
    """Where each fault strikes.

    Parameters
    ----------
    dead_amplifier
        Detector and amplifier (``C05``) that give no signal all night, or None.
    visits
        Sequence number of a visit to its fault.
    images
        Sequence number and detector of an image to its fault.
    """

    dead_amplifier: tuple[int, str] | None
    visits: dict[int, Fault]
    images: dict[tuple[int, int], Fault]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults of the night, in the order of `Fault`."""
        present = {*self.visits.values(), *self.images.values()}
        if self.dead_amplifier is not None:
            present.add(Fault.DEAD_AMPLIFIER)
        return tuple(fault for fault in Fault if fault in present)


def parse_faults(names: Iterable[str | Fault]) -> tuple[Fault, ...]:
    """Read names of faults.

    Parameters
    ----------
    names
        Such as ``trailed-visit``.

    Returns
    -------
    tuple of Fault
        Each once, in the order of `Fault`.

    Raises
    ------
    InputError
        If one is not known.
    """
    known = {fault.value: fault for fault in Fault}
    wanted = set()
    for name in [names] if isinstance(names, str) else names:
        text = name.value if isinstance(name, Fault) else name
        if text not in known:
            raise InputError(f"{text!r} is not a fault.", advice=f"Known are {', '.join(known)}.")
        wanted.add(known[text])
    return tuple(fault for fault in Fault if fault in wanted)


def place_faults(faults: Sequence[Fault], seq_nums: Sequence[int], detectors: Sequence[int]) -> FaultPlan:
    """Choose the visits and detectors that the faults strike: each at another place.

    Parameters
    ----------
    faults
        From `parse_faults`.
    seq_nums
        Sequence numbers of the visits.
    detectors
        Detector numbers.

    Returns
    -------
    FaultPlan
        Where each fault strikes. Faults of single images keep off trailed and defocused visits and off the
        detector with the dead amplifier while there are other places.

    Raises
    ------
    InputError
        If the night has too few visits or images for them.
    """
    of_visits = [fault for fault in faults if fault in _OF_A_VISIT]
    of_images = [fault for fault in faults if fault in _OF_AN_IMAGE]
    if len(of_visits) > len(seq_nums) or len(of_images) > len(seq_nums) * len(detectors):
        raise InputError(
            f"{len(faults)} faults do not fit into {len(seq_nums)} visits of {len(detectors)} detectors.",
            advice="Give more visits or fewer faults.",
        )
    # The later visits, so that the first one is a good one where there is a choice.
    visits = dict(zip(seq_nums[len(seq_nums) - len(of_visits) :], of_visits, strict=True))
    dead = (detectors[-1], "C05") if Fault.DEAD_AMPLIFIER in faults else None
    places = [
        (seq_num, detectors[(k + turn) % len(detectors)])
        for turn in range(len(detectors))
        for k, seq_num in enumerate(seq_nums)
    ]
    places.sort(key=lambda place: (place[0] in visits, dead is not None and place[1] == dead[0]))
    return FaultPlan(dead, visits, dict(zip(places, of_images, strict=False)))
