"""Where everything is, and what is allowed there."""

from lsst_commtools.site.check import EndpointCheck, Reach, check_site
from lsst_commtools.site.home import commtools_home
from lsst_commtools.site.model import Site
from lsst_commtools.site.sections import Endpoint, Section

__all__ = ["Endpoint", "EndpointCheck", "Reach", "Section", "Site", "check_site", "commtools_home"]
