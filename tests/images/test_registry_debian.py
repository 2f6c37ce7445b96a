"""The registry's client against Debian's docker-registry on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import time
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from pydantic import SecretStr

from lsst_commtools.errors import AuthenticationError, NotFoundError
from lsst_commtools.images import LabImages, Registry
from lsst_commtools.site import Site
from lsst_commtools.site.images import ImagesSection

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(
        shutil.which("docker-registry") is None, reason="Debian's docker-registry is not installed"
    ),
]

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
# The password "secret", hashed with bcrypt, as htpasswd -B writes it.
HTPASSWD = "reader:$2b$04$HqGjV26Cf7NurAZNyJRWc.qf058DDqg8GCqJKL3dGxXN.LJgCBscy"


@pytest.fixture
def docker_registry(tmp_path):
    """Starts a registry with further settings; gives its URL."""
    processes = []

    def start(settings=""):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = tmp_path / f"config-{port}.yml"
        config.write_text(
            "version: 0.1\nlog: {accesslog: {disabled: true}, level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'data'}}}, delete: {{enabled: true}}}}\n"
            f'http: {{addr: "127.0.0.1:{port}"}}\n{settings}'
        )
        with (tmp_path / "log").open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [shutil.which("docker-registry"), "serve", str(config)],
                    stdout=log,
                    stderr=log,
                    cwd=tmp_path,
                )
            )
        for _ in range(200):
            try:
                requests.get(f"http://127.0.0.1:{port}/v2/", timeout=1)
            except requests.ConnectionError:
                time.sleep(0.05)
            else:
                return f"http://127.0.0.1:{port}"
        pytest.fail(f"docker-registry did not start: {(tmp_path / 'log').read_text()}")

    yield start
    for process in processes:
        process.terminate()
        process.wait(10)


def push(url, repository, tags):
    """Put one image (a configuration without layers) under several tags; give its digest."""
    config = json.dumps({"made for": tags}).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    with requests.Session() as session:
        place = session.post(f"{url}/v2/{repository}/blobs/uploads/", timeout=5).headers["Location"]
        joint = "&" if "?" in place else "?"
        session.put(f"{place}{joint}digest={digest}", data=config, timeout=5).raise_for_status()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": len(config),
                    "digest": digest,
                },
                "layers": [],
            }
        ).encode()
        for tag in tags:
            session.put(
                f"{url}/v2/{repository}/manifests/{tag}",
                data=manifest,
                headers={"Content-Type": MANIFEST_TYPE},
                timeout=5,
            ).raise_for_status()
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def test_tags_digests_and_aliases(docker_registry):
    url = docker_registry()
    digest = push(url, "ts/sal-sciplat-lab", ["w_2026_22_c0044.006", "recommended_c0044"])
    push(url, "ts/sal-sciplat-lab", ["w_2026_23_c0044.007"])
    push(url, "ts/sal-sciplat-lab", ["w_2026_18_c0043.006"])
    client = Registry(url, "ts/sal-sciplat-lab")
    assert set(client.tags()) == {
        "w_2026_22_c0044.006", "recommended_c0044", "w_2026_23_c0044.007", "w_2026_18_c0043.006"
    }  # fmt: skip
    assert client.digest("recommended_c0044") == client.verified_digest("w_2026_22_c0044.006") == digest
    assert client.digest("w_2026_24") is None
    assert client.verified_digest("w_2026_24") is None
    with pytest.raises(NotFoundError):
        Registry(url, "nothing").tags()
    client.close()
    source = {"type": "docker", "registry": url, "repository": "ts/sal-sciplat-lab"}
    policy = {"source": source, "cycle": 44, "recommendedTag": "recommended_c0044", "numReleases": 0}
    images = LabImages(Site(name="hilltop", images=ImagesSection.model_validate(policy)))
    shown = [row.image.display for row in images.menu() if row.shown]
    assert shown == [
        "Recommended (Weekly 2026_22, SAL Cycle 0044, Build 006)",
        "Weekly 2026_23 (SAL Cycle 0044, Build 007)",
        "Weekly 2026_22 (SAL Cycle 0044, Build 006)",
    ]
    assert images.check().findings == ()


def test_a_tag_that_is_overwritten_in_place_moves(docker_registry, tmp_path):
    url = docker_registry()
    push(url, "lab", ["d_2026_06_01", "recommended"])
    source = {"type": "docker", "registry": url, "repository": "lab"}
    site = Site(name="hilltop", images=ImagesSection(source=source, approvers=("ana",)))
    assert LabImages(site).approve("ana").approved
    assert LabImages(site).check().findings == ()
    push(url, "lab", ["w_2026_23", "d_2026_06_02", "recommended"])
    assert [f.kind.value for f in LabImages(site).check().findings] == ["tag-moved"]


def test_basic_login(docker_registry, tmp_path):
    (tmp_path / "htpasswd").write_text(HTPASSWD + "\n")
    url = docker_registry(f"auth: {{htpasswd: {{realm: lab, path: {tmp_path / 'htpasswd'}}}}}\n")
    client = Registry(url, "lab", user="reader", password=SecretStr("secret"))
    with pytest.raises(NotFoundError):
        client.tags()
    for options in ({}, {"user": "reader", "password": SecretStr("wrong")}):
        with pytest.raises(AuthenticationError):
            Registry(url, "lab", **options).tags()
    client.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_token_login(docker_registry, stub_registry, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
         "-days", "2", "-subj", "/CN=issuer"],
        check=True, capture_output=True,
    )  # fmt: skip
    url = docker_registry(
        f"auth: {{token: {{realm: {stub_registry.url}/token, service: lab-service, issuer: issuer, "
        f"rootcertbundle: {certificate}}}}}\n"
    )
    stub_registry.answers["/token"] = lambda request: (
        200,
        {},
        {"token": a_token(request.path, key, certificate)},
    )
    with pytest.raises(NotFoundError):  # logged in, and the repository is empty
        Registry(url, "lab", token_hosts=[urlsplit(stub_registry.url).netloc]).tags()
    asked = parse_qs(urlsplit(stub_registry.requests[-1][1]).query)
    assert asked == {"service": ["lab-service"], "scope": ["repository:lab:pull"]}


def a_token(path, key, certificate):
    """Sign what was asked for, as an issuer of tokens does (RS256, certificate in x5c)."""
    query = parse_qs(urlsplit(path).query)
    der = subprocess.run(
        ["openssl", "x509", "-in", str(certificate), "-outform", "DER"], check=True, capture_output=True
    ).stdout
    kind, name, actions = query["scope"][0].split(":")
    now = int(time.time())
    claims = {
        "iss": "issuer", "sub": "", "jti": "1", "aud": query["service"][0],
        "iat": now, "nbf": now - 60, "exp": now + 60,
        "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
    }  # fmt: skip
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    signed = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(key)], input=signed, check=True, capture_output=True
    ).stdout
    return (signed + b"." + encoded(signature)).decode()


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
