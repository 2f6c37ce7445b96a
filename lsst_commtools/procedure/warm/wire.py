"""Messages between a runner and its zygote: JSON with its length before it, on a Unix socket."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from collections.abc import Sequence
from typing import Any

__all__ = ["PeerGoneError", "peer", "readable", "receive", "receive_now", "send"]

_LENGTH = struct.Struct(">I")
_PEER = struct.Struct("3i")
_LONGEST = 1 << 24
_MOST_FILES = 8


class PeerGoneError(ConnectionError):
    """Raised when the other side is gone, or sends what is no message."""


def send(connection: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message.

    Parameters
    ----------
    connection
        A Unix stream socket.
    message
        Plain values.
    files
        Descriptors of open files that go with it.
    """
    body = json.dumps(message).encode()
    data = _LENGTH.pack(len(body)) + body
    try:
        sent = socket.send_fds(connection, [data], list(files)) if files else 0
        connection.sendall(data[sent:])
    except OSError as error:
        raise PeerGoneError(f"the other side is gone: {error}") from error


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Receive a message, within the timeout of the socket.

    Parameters
    ----------
    connection
        A Unix stream socket.

    Returns
    -------
    message : dict
        Plain values.
    files : list of int
        Descriptors that came with it; the caller closes them.

    Raises
    ------
    PeerGoneError
        If the other side is gone, silent, or sends something else.
    """
    files: list[int] = []
    try:
        # The descriptors come with the first byte; ancillary data never crosses to a later message.
        head, files, _, _ = socket.recv_fds(connection, 1, _MOST_FILES)
        head += _exactly(connection, _LENGTH.size - 1) if head else b""
        if not head:
            raise PeerGoneError("the other side has closed the connection")
        (length,) = _LENGTH.unpack(head)
        if length > _LONGEST:
            raise PeerGoneError("the message is too long")
        message = json.loads(_exactly(connection, length))
        if not isinstance(message, dict):
            raise PeerGoneError("this is no message")
    except BaseException as error:
        for descriptor in files:
            os.close(descriptor)
        if isinstance(error, OSError | ValueError) and not isinstance(error, PeerGoneError):
            raise PeerGoneError(f"no message came: {error}") from error
        raise
    return message, files


def receive_now(connection: socket.socket) -> dict[str, Any] | None:
    """Receive a message if one is there.

    Parameters
    ----------
    connection
        A Unix stream socket with a timeout.

    Returns
    -------
    dict or None
        The message; None if there is none yet.

    Raises
    ------
    PeerGoneError
        If the other side is gone.
    """
    return receive(connection)[0] if readable(connection, 0.0) else None


def readable(connection: socket.socket, timeout_s: float | None) -> bool:
    """Wait until something can be received, be it the end.

    Parameters
    ----------
    connection
        A socket.
    timeout_s
        Longest wait, in seconds; None for ever.

    Returns
    -------
    bool
        Whether something can be received.
    """
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else 1000 * timeout_s))


def peer(connection: socket.socket) -> tuple[int, int]:
    """Tell who is at the other end.

    Parameters
    ----------
    connection
        A connected Unix socket.

    Returns
    -------
    pid, uid : int
        Process and user, as the operating system knows them; the process is 0 if it cannot be seen from here.
    """
    pid, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return pid, uid


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise PeerGoneError("the other side has closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
