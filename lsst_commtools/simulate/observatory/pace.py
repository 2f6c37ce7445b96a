"""Times of the simulated observatory, all divided by one speed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pace"]


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds; the defaults are those observed on the real services unless said.

    Parameters
    ----------
    heartbeat_s
        Between two heartbeats of a CSC.
    heartbeat_stream_s
        Between two messages of LOVE's producer about them, and its patience for one.
    telemetry_s
        Between two telemetry messages.
    manager_heartbeat_s
        Between two heartbeats of LOVE itself.
    command_timeout_s
        LOVE's patience for an acknowledgement.
    transition_s
        A change of state; shorter than most real ones.
    exit_s
        From the OFFLINE event to the end of the process.
    boot_s
        From the start of a process to STANDBY.
    script_s
        Configuration of a script, and each of its ends; shorter than real.
    reconcile_s
        Between two looks of Argo CD at the cluster, where nobody asks it to look; shorter than real.
    sync_s
        A sync of Argo CD, and the end of a pod that is deleted; shorter than real.
    slack_message_s
        Time in which Slack takes one more message of a channel.
    late_done_s
        How much later than its entry in the history a successful script becomes DONE.
    """

    heartbeat_s: float = 1.0
    heartbeat_stream_s: float = 2.0
    telemetry_s: float = 2.0
    manager_heartbeat_s: float = 3.0
    command_timeout_s: float = 10.0
    transition_s: float = 0.05
    exit_s: float = 0.1
    boot_s: float = 0.5
    script_s: float = 0.3
    late_done_s: float = 1.5
    reconcile_s: float = 3.0
    sync_s: float = 0.5
    slack_message_s: float = 1.0

    def faster(self, speed: float) -> Pace:
        """Divide all times.

        Parameters
        ----------
        speed
            By what.

        Returns
        -------
        Pace
            The times.
        """
        return Pace(**{name: value / speed for name, value in vars(self).items()})
