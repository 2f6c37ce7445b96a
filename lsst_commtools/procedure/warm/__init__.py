"""Warm kernels: forked from a process that has imported what notebooks import, instead of started anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.procedure.warm.provisioner import WarmProvisioner

__all__ = ["WarmProvisioner"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "provisioner": ["WarmProvisioner"],
    },
)
