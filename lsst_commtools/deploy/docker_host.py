"""Docker on the host of the bench: over a local socket, a port, or a socket that ssh brings here."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from lsst_commtools.deploy.tunnel import SshTunnel
from lsst_commtools.errors import (
    NotFoundError,
    RejectedError,
    ServiceTimeoutError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.site.stand_ins import stand_in

if TYPE_CHECKING:
    import docker

    from lsst_commtools.site import Site

__all__ = ["DockerHost"]

_T = TypeVar("_T")


class DockerHost:
    """A connection to Docker, made when it is first needed, and again when it was lost.

    Parameters
    ----------
    site
        Where it is; where the site names none and is not real, the running simulator stands in.
    """

    def __init__(self, site: Site) -> None:
        self._section = site.deploy.bench
        self._site_name, self._real = site.name, site.real
        self._api: docker.APIClient | None = None
        self.tunnel: SshTunnel | None = None

    def close(self) -> None:
        """Hang up."""
        if self._api is not None:
            self._api.close()
            self._api = None
        if self.tunnel is not None:
            self.tunnel.close()
            self.tunnel = None

    def call(self, action: Callable[[docker.APIClient], _T]) -> _T:
        """Do something with the Docker API; its errors become this package's.

        Parameters
        ----------
        action
            What to do with the client of the SDK.

        Returns
        -------
        object
            What it returns.

        Raises
        ------
        ServiceError
            If it does not work, by cause.
        """
        import docker.errors
        import requests

        api = self._connection()
        try:
            return action(api)
        except docker.errors.NotFound as error:
            raise NotFoundError(f"The bench has no such thing: {_text(error)}") from None
        except docker.errors.APIError as error:
            raise RejectedError(f"Docker on the host of the bench refused it: {_text(error)}") from None
        except (TimeoutError, requests.Timeout):
            raise ServiceTimeoutError(
                f"Docker on the host of the bench did not answer in {self._section.reply_timeout_s:g} s.",
                changed="It may still do what was asked.",
            ) from None
        except (requests.RequestException, docker.errors.DockerException, OSError) as error:
            self.close()
            raise UnreachableError(
                f"Docker on the host of the bench cannot be reached ({type(error).__name__}).",
                changed="What runs in the container goes on.",
                advice="See deploy.bench.docker and the network.",
            ) from None

    def _connection(self) -> docker.APIClient:
        if self.tunnel is not None and not self.tunnel.alive:
            self.close()
        if self._api is not None:
            return self._api
        try:
            import docker
            import docker.errors
            import requests
        except ImportError:
            raise SiteError(
                "The bench needs the Docker SDK.", advice="pip install 'lsst_commtools[bench]'"
            ) from None
        url = self._url()
        if url.startswith("ssh://"):
            self.tunnel = SshTunnel(url, self._section.ssh_options, self._section.connect_timeout_s)
            url = f"unix://{self.tunnel.socket}"
        try:
            if url.startswith("unix://"):
                with socket.socket(
                    socket.AF_UNIX
                ) as trial:  # the SDK leaves one open that cannot be connected
                    trial.connect(url.removeprefix("unix://"))
            self._api = docker.APIClient(
                base_url=url, version="auto", timeout=round(self._section.reply_timeout_s)
            )
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            with contextlib.suppress(OSError):
                self.close()
            raise UnreachableError(
                f"Docker on the host of the bench cannot be reached ({type(error).__name__}).",
                changed="Nothing was done there.",
                advice="See deploy.bench.docker, and your rights to Docker on that host.",
            ) from None
        return self._api

    def _url(self) -> str:
        if self._section.docker:
            return self._section.docker
        if self._real:
            raise SiteError(f"The site {self._site_name!r} has no bench.", advice="Set deploy.bench.docker.")
        return stand_in("docker").url.replace("http://", "tcp://")


def _text(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error).strip()[:300]
