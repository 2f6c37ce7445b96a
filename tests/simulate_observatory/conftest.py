"""A fast simulated observatory, spoken to without the package's own client."""

from __future__ import annotations

import json
import time

import pytest
import requests
import websocket

from lsst_commtools.simulate.observatory import Pace, running_observatory


@pytest.fixture
def simulated():
    with running_observatory(Pace().faster(20.0)) as running:
        yield running


@pytest.fixture
def rest(simulated):
    love = simulated.services["love"]

    def ask(method, path, *, token=None, **given):
        headers = {"Authorization": token} if token else {}
        return requests.request(
            method,
            f"{love.url}/manager/api/{path}",
            headers=headers,
            timeout=5,
            allow_redirects=False,
            **given,
        )

    return ask


@pytest.fixture
def token(simulated, rest):
    love = simulated.services["love"]
    return rest("POST", "get-token/", json={"username": love.user, "password": love.password}).json()["token"]


@pytest.fixture
def listen(simulated, token):
    """Open a websocket that collects messages until asked."""
    opened = []

    class Listener:
        def __init__(self):
            url = simulated.services["love"].url.replace("http", "ws")
            self.socket = websocket.create_connection(
                f"{url}/manager/ws/subscription?token={token}", timeout=0.2
            )
            opened.append(self.socket)

        def subscribe(self, csc, index, stream, category="event"):
            names = {"category": category, "csc": csc, "salindex": index, "stream": stream}
            self.socket.send(json.dumps({"option": "subscribe", **names}))

        def messages(self, seconds=0.4):
            ends = time.monotonic() + seconds
            heard = []
            while time.monotonic() < ends:
                try:
                    heard.append(self.socket.recv())
                except websocket.WebSocketTimeoutException:
                    continue
            return heard

    yield Listener
    for socket in opened:
        socket.shutdown()
