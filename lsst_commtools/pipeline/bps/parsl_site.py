"""The machine itself as a site of BPS's Parsl plugin."""

from __future__ import annotations

import inspect
from typing import Any

import parsl.config
from lsst.ctrl.bps.parsl.configuration import get_bps_config_value
from lsst.ctrl.bps.parsl.sites import Local
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
from typing_extensions import override

__all__ = ["ThisMachine"]


class ThisMachine(Local):
    """Runs jobs on this machine, by way of its loopback address.

    The plugin's own site passes ``checkpoint_mode`` to Parsl, which newer releases of Parsl do not take, and lets
    workers look for the machine's public addresses, which a machine without a network does not have.
    """

    @override
    def get_executors(self) -> list[Any]:
        """Give one executor with as many workers as the site has cores."""
        cores = get_bps_config_value(self.site, "cores", int, required=True)
        return [
            HighThroughputExecutor(
                "local",
                address="127.0.0.1",
                loopback_address="127.0.0.1",
                provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),  # type: ignore[no-untyped-call]  # Parsl's
                max_workers_per_node=cores,
                worker_debug=False,
            )
        ]

    @override
    def get_parsl_config(self) -> parsl.config.Config:
        """Configure Parsl; each job is tried once, and what is left is submitted again by the caller."""
        options: dict[str, Any] = {
            "executors": self.get_executors(),
            "monitoring": self.get_monitor(),
            "retries": get_bps_config_value(self.site, "retries", int, 0),
            "run_dir": get_bps_config_value(self.site, "run_dir", str, "runinfo"),
        }
        known = inspect.signature(parsl.config.Config).parameters
        if "usage_tracking" in known:
            options["usage_tracking"] = 0
        return parsl.config.Config(**options)
