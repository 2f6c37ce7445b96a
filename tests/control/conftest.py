"""A simulated observatory, twenty times as fast as a real one, and a client of it."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from lsst_commtools.control import Control
from lsst_commtools.control.love import LoveBackend
from lsst_commtools.control.session import LoveSession
from lsst_commtools.simulate.observatory import Fault, Pace, running_observatory
from lsst_commtools.site import Site
from lsst_commtools.site.control import ControlSection, LoveSection

SPEED = 20.0


@pytest.fixture
def observatory():
    with running_observatory(Pace().faster(SPEED)) as running:
        yield running


@pytest.fixture
def csc_site():
    local = Site.load("local")
    quick = LoveSection(
        cscs=local.love.cscs,
        observe_timeout_s=1.2,
        gone_timeout_s=1.2,
        transition_timeout_s=1.5,
        script_timeout_s=15.0,
        reply_timeout_s=1.0,
    )
    return local.model_copy(update={"love": quick})


@pytest.fixture
def make_control(observatory, csc_site):
    opened = []

    def make(user="operator", site=csc_site, **session):
        given = {"user": user, "password": SecretStr(observatory.observatory.users[user].password), **session}
        url = observatory.services["love"].url
        control = Control(
            site, LoveBackend(LoveSession(url, reply_timeout_s=site.love.reply_timeout_s, **given))
        )
        opened.append(control)
        return control

    yield make
    for control in opened:
        control.close()


@pytest.fixture
def control(make_control):
    return make_control()


@pytest.fixture
def break_it(observatory):
    def inject(service, kind, where="", skip=0, times=1):
        observatory.call(observatory.observatory.add_fault, Fault(service, kind, where, skip, times))

    return inject


@pytest.fixture
def allow_only(csc_site):
    def make(*allowed):
        return csc_site.model_copy(update={"control": ControlSection(allow=allowed)})

    return make
