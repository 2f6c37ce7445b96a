"""The way to a site's CSCs, by its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from lsst_commtools.control.love import LoveBackend
from lsst_commtools.control.session import LoveSession
from lsst_commtools.errors import SiteError
from lsst_commtools.site.stand_ins import stand_in

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["connect_love"]


def connect_love(site: Site) -> LoveBackend:
    """Make the way to a site's CSCs; nothing is sent yet.

    Parameters
    ----------
    site
        The site; where it names no LOVE and is not real, the running simulator stands in.

    Returns
    -------
    LoveBackend
        Way by LOVE.

    Raises
    ------
    SiteError
        If the site has no LOVE, or the simulator is not running.
    """
    love = site.love
    url, user = love.url, love.user
    password, token = site.secret("love_password"), site.secret("love_token")
    if not url:
        if site.real:
            raise SiteError(
                f"The site {site.name!r} has no LOVE.",
                advice="Set love.url and love.user, or COMMTOOLS_LOVE_URL.",
            )
        service = stand_in("love")
        # A real password is not shown to a stand-in, which has its own.
        url, user, password, token = service.url, service.user, SecretStr(service.password), None
    session = LoveSession(
        url,
        user=user,
        password=password,
        token=token,
        connect_timeout_s=love.connect_timeout_s,
        reply_timeout_s=love.reply_timeout_s,
    )
    return LoveBackend(session)
