"""Where everything is, and what is allowed there."""

from lsst_commtools.site.home import commtools_home
from lsst_commtools.site.model import Site

__all__ = ["Site", "commtools_home"]
