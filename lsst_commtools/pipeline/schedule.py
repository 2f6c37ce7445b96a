"""In which portions the quanta of a graph are given to workers.

Quanta that follow one another on one image stay together, so that one worker does a detector from raw to summary; a
quantum with several predecessors, such as a visit's summary, waits for all of them. An exception in one portion
therefore never reaches another detector, and the visit is still summed up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Portion", "Schedule", "find_stale"]

Node = TypeVar("Node", bound=Hashable)


@dataclass(frozen=True)
class Portion(Generic[Node]):
    """Quanta that one worker does one after another.

    Parameters
    ----------
    number
        Place in the schedule.
    nodes
        Quanta in the order in which they must run.
    waits_for
        Numbers of the portions that must have ended before, well or badly.
    """

    number: int
    nodes: tuple[Node, ...]
    waits_for: frozenset[int]


def find_stale(
    order: Sequence[Node], predecessors: Mapping[Node, Collection[Node]], done: Collection[Node]
) -> list[Node]:
    """Find what has to run: what was never done, and all that builds on it.

    Parameters
    ----------
    order
        All quanta, predecessors first.
    predecessors
        Quantum to the quanta whose outputs it reads.
    done
        Quanta that an earlier run finished.

    Returns
    -------
    list
        Quanta to run, in order.
    """
    finished = set(done)
    stale: set[Node] = set()
    for node in order:
        if node not in finished or any(before in stale for before in predecessors[node]):
            stale.add(node)
    return [node for node in order if node in stale]


class Schedule(Generic[Node]):
    """Portions of a graph, given out as they become ready.

    Parameters
    ----------
    order
        Quanta to run, predecessors first.
    predecessors
        Quantum to the quanta whose outputs it reads; those that do not run are ignored, but count for what is a
        gathering quantum.
    rank
        Sorts the portions by their first quanta; by default they keep their order.
    """

    def __init__(
        self,
        order: Sequence[Node],
        predecessors: Mapping[Node, Collection[Node]],
        rank: Callable[[Node], Any] | None = None,
    ) -> None:
        place: dict[Node, int] = {}
        members: list[list[Node]] = []
        for node in order:
            before = predecessors[node]
            chained = [p for p in before if p in place] if len(before) == 1 else []
            if chained:
                place[node] = place[chained[0]]
                members[place[node]].append(node)
            else:
                place[node] = len(members)
                members.append([node])
        self.portions = tuple(
            Portion(
                number,
                tuple(nodes),
                frozenset(
                    place[p]
                    for node in nodes
                    for p in predecessors[node]
                    if p in place and place[p] != number
                ),
            )
            for number, nodes in enumerate(members)
        )
        if rank is not None:
            ranked = sorted(self.portions, key=lambda portion: rank(portion.nodes[0]))
        else:
            ranked = list(self.portions)
        self._waiting = {portion.number: set(portion.waits_for) for portion in ranked}

    def take(self) -> Portion[Node] | None:
        """Take the next portion that is ready.

        Returns
        -------
        Portion or None
            None if nothing is ready now.
        """
        # A summary becomes ready late; taken before other images, it shows each visit as soon as that is complete.
        ready = [number for number, waits in self._waiting.items() if not waits]
        if not ready:
            return None
        gathering = [number for number in ready if self.portions[number].waits_for]
        number = gathering[0] if gathering else ready[0]
        del self._waiting[number]
        return self.portions[number]

    def finish(self, portion: Portion[Node]) -> None:
        """Tell that a portion has ended, well or badly.

        Parameters
        ----------
        portion
            Taken before.
        """
        for waits in self._waiting.values():
            waits.discard(portion.number)

    @property
    def exhausted(self) -> bool:
        """Whether everything was taken."""
        return not self._waiting
