"""A simulated observatory in a thread, a site that points to it, and a record of all requests to Argo CD."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from lsst_commtools.control import Control
from lsst_commtools.control.love import LoveBackend
from lsst_commtools.control.session import LoveSession
from lsst_commtools.deploy import ArgoCd, Bench
from lsst_commtools.deploy.session import ArgoCdSession
from lsst_commtools.simulate.observatory import Fault, Pace, running_observatory
from lsst_commtools.site import Site
from lsst_commtools.site.control import LoveSection
from lsst_commtools.site.deploy import ArgoCdSection, BenchSection, DeploySection


@pytest.fixture
def running():
    with running_observatory(Pace().faster(20.0)) as observatory:
        yield observatory


@pytest.fixture
def truth(running):
    return running.observatory.cluster.truth


@pytest.fixture
def quick_site(running):
    local = Site.load("local")
    love = LoveSection(
        cscs=local.love.cscs,
        observe_timeout_s=2.0,
        gone_timeout_s=2.0,
        transition_timeout_s=2.0,
        script_timeout_s=15.0,
        reply_timeout_s=2.0,
    )
    deploy = DeploySection(
        argocd=ArgoCdSection(
            url=running.services["argocd"].url,
            user="commtools",
            poll_s=0.02,
            wait_timeout_s=3.0,
            boot_timeout_s=5.0,
            reply_timeout_s=2.0,
        ),
        bench=BenchSection(
            docker=running.services["docker"].url.replace("http", "tcp"),
            companions={"kafka-daemon": "Somebody Known"},
            config_sources={"DIMM": "ts_config_ocs"},
            reply_timeout_s=2.0,
            stop_timeout_s=2.0,
        ),
    )
    return local.model_copy(update={"love": love, "deploy": deploy})


@pytest.fixture
def sent(monkeypatch):
    """Keep all requests that leave for Argo CD."""
    requests = []
    send = ArgoCdSession._send

    def keep(self, method, path, query, body, token):
        requests.append((method, f"/api/v1/{path}", dict(query), json.loads(json.dumps(body))))
        return send(self, method, path, query, body, token)

    monkeypatch.setattr(ArgoCdSession, "_send", keep)
    return requests


@pytest.fixture
def argocd(running, quick_site, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_ARGOCD_PASSWORD", running.services["argocd"].password)
    with ArgoCd(quick_site) as client:
        yield client


@pytest.fixture
def bench(quick_site):
    with Bench(quick_site) as client:
        yield client


@pytest.fixture
def eyes(running, quick_site):
    love = running.services["love"]
    session = LoveSession(love.url, user=love.user, password=SecretStr(love.password), reply_timeout_s=2.0)
    with Control(quick_site, LoveBackend(session)) as client:
        yield client


@pytest.fixture
def fail(running):
    def inject(service, kind, where="", skip=0, times=1):
        running.call(running.observatory.add_fault, Fault(service, kind, where, skip, times))

    return inject


@pytest.fixture
def csc_of(running):
    return running.observatory.csc
