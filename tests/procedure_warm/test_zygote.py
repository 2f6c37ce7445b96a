"""The preloaded process itself: whom it serves, what it survives, when it ends."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import InputError
from lsst_commtools.procedure.warm import wire
from lsst_commtools.procedure.warm.key import ZygoteKey, import_environment, private_folder
from lsst_commtools.procedure.warm.start import ensure_zygote, fork
from lsst_commtools.procedure.warm.state import CodeTimes
from lsst_commtools.procedure.warm.zygote import Zygote


def test_variables_of_a_session_do_not_part_kernels():
    one = {"PATH": "/bin", "TERM": "xterm", "COMMTOOLS_RUN": "a", "COMMTOOLS_RUN_SECRET_X": "hidden"}
    other = {"PATH": "/bin", "SSH_TTY": "/dev/pts/1"}
    assert import_environment(one) == import_environment(other) == {"PATH": "/bin"}


@pytest.mark.parametrize("name", ["HOME", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "ASTROPY_SKIP_X", "LANG"])
def test_variables_that_a_module_may_read_do(name):
    import sys

    keys = [ZygoteKey.of(sys.executable, ["numpy"], {"PATH": "/bin", name: value}) for value in "ab"]
    assert keys[0].name != keys[1].name


@pytest.mark.parametrize("name", ["os; import x", "a.b()", "", "1a", "../x"])
def test_only_modules_are_preloaded(name):
    import sys

    with pytest.raises(InputError, match="is not the name of a module"):
        ZygoteKey.of(sys.executable, [name], {})


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
)
@settings(deadline=None, max_examples=50)
def test_messages_arrive_as_they_were_sent(message):
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here, there:
        there.settimeout(5)
        wire.send(here, message, [0])
        wire.send(here, {"next": 1})
        received, files = wire.receive(there)
        assert received == message
        assert len(files) == 1
        os.close(files[0])
        assert wire.receive_now(there) == {"next": 1}
        assert wire.receive_now(there) is None
        here.close()
        with pytest.raises(wire.PeerGoneError):
            wire.receive_now(there)


@given(st.binary(max_size=40))
@settings(deadline=None, max_examples=50)
def test_garbage_is_no_message(garbage):
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here, there:
        there.settimeout(0.5)
        here.sendall(garbage)
        here.close()
        with pytest.raises(wire.PeerGoneError):
            wire.receive(there)


def request(code, tmp_path):
    nb = {"cells": [{"cell_type": "code", "source": code, "metadata": {}, "outputs": []}], "metadata": {}}
    details = {"notebook": nb, "output": None}
    return {
        "do": "start",
        "kind": "notebook",
        "environment": dict(os.environ),
        "folder": str(tmp_path),
        "details": details,
    }


@pytest.fixture
def null():
    descriptor = os.open(os.devnull, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def test_garbage_and_silence_do_not_stop_a_zygote(warm_key, tmp_path, null):
    key = warm_key(["warm_example"])
    ensure_zygote(key, idle_s=60)
    for noise in (
        b"",
        b"\x00",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x0c" + b'{"do":"x"}  ',
    ):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(key.socket))
            connection.sendall(noise)
    process = fork(key, request("1 + 1", tmp_path), [null] * 3, idle_s=60)
    assert process.wait(30) == 0


def test_a_fork_has_its_own_session_and_no_sockets_of_others(warm_key, tmp_path, null):
    key = warm_key(["warm_example"])
    ready = tmp_path / "ready"
    others = [
        fork(key, request("import time; time.sleep(60)", tmp_path), [null] * 3, idle_s=60) for _ in range(2)
    ]
    code = f"""
import os, stat, signal
held = [f for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + f)]
sockets = [f for f in held if stat.S_ISSOCK(os.stat('/proc/self/fd/' + f).st_mode)]
blocked = [line for line in open('/proc/self/status') if line.startswith('SigBlk')][0].split()[1]
usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
usual = usual and signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
own = os.getsid(0) == os.getpid() == os.getpgrp()
open({str(ready)!r}, 'w').write(f'{{own}} {{sockets}} {{int(blocked, 16)}} {{usual}}')
"""
    assert fork(key, request(code, tmp_path), [null] * 3, idle_s=60).wait(30) == 0
    assert ready.read_text() == "True [] 0 True"
    for other in others:
        other.signal(signal.SIGTERM)
        assert other.wait(10) == -signal.SIGTERM


def test_a_fork_leaves_alone_what_else_happened_at_its_birth(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        zygote = Zygote(listener, tmp_path / "socket", CodeTimes(time.time_ns()), 1.0)

        def fork_here():
            zygote._selector.close()
            zygote._forked = ("job", None)

        both = [
            (selectors.SelectorKey(fd, fd, selectors.EVENT_READ, do), selectors.EVENT_READ)
            for fd, do in ((listener.fileno(), fork_here), (0, pytest.fail))
        ]
        zygote._selector.select = lambda timeout: both
        assert zygote.serve() == ("job", None)


def test_an_idle_zygote_ends_and_the_next_kernel_finds_a_new_one(warm_key, tmp_path, null):
    key = warm_key(["warm_example", "email"])
    assert ensure_zygote(key, idle_s=0.5) is not None
    deadline = time.monotonic() + 20
    while key.socket.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not key.socket.exists()
    assert fork(key, request("1", tmp_path), [null] * 3, idle_s=60).wait(30) == 0


def test_the_folder_of_sockets_is_private(warm):
    assert private_folder().stat().st_mode & 0o777 == 0o700


def test_a_zygote_that_is_killed_takes_its_kernels_with_it(warm_key, tmp_path, null):
    key = warm_key(["warm_example", "html"])
    process = fork(key, request("import time; time.sleep(60)", tmp_path), [null] * 3, idle_s=60)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(key.socket))
        wire.send(connection, {"do": "greet"})
        zygote = wire.receive(connection)[0]["pid"]
    os.kill(zygote, signal.SIGKILL)
    assert process.wait(10) == -9
    assert fork(key, request("1", tmp_path), [null] * 3, idle_s=60).wait(30) == 0
