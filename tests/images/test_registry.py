"""The registry's client against a stub that paginates, challenges, stumbles and lies."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from lsst_commtools.errors import (
    AuthenticationError,
    ForbiddenError,
    InputError,
    NotFoundError,
    ProtocolError,
    RefusedError,
    RejectedError,
    ServiceTimeoutError,
    UnreachableError,
)
from lsst_commtools.images import LabImages, Registry
from lsst_commtools.images import registry as registry_module
from lsst_commtools.images.challenges import check_realm, next_link, parse_challenges
from lsst_commtools.site import Site
from lsst_commtools.site.images import ImagesSection

LIST = "/v2/lab/tags/list"
MANIFEST = "/v2/lab/manifests/"


@pytest.fixture
def client(stub_registry):
    """Makes a client of the stub that does not wait between attempts."""
    made = []

    def make(**options):
        options = {"pause": lambda seconds: None, "timeout_s": 5.0, **options}
        made.append(Registry(stub_registry.url, "lab", **options))
        return made[-1]

    yield make
    for registry in made:
        registry.close()


def paths(stub):
    return [path for _, path, _ in stub.requests]


def test_one_page(stub_registry, client):
    stub_registry.say(LIST, {"name": "lab", "tags": ["w_2021_22", "a", "w_2021_22"]})
    assert client().tags() == ["w_2021_22", "a"]


def test_a_repository_whose_last_tag_was_deleted(stub_registry, client):
    stub_registry.say(LIST, {"name": "lab", "tags": None})
    assert client().tags() == []


@pytest.mark.parametrize("form", ["relative", "absolute", "rootless", "several links"])
def test_pages_are_followed(stub_registry, client, form):
    following = {
        "relative": '<{path}>; rel="next"',
        "absolute": '<{url}{path}>; rel="next"',
        "rootless": "<list?last={last}&token=x%2Fy%3D>; rel=next",
        "several links": '<{url}/v2/lab/first>; rel="first", <{path}>; title="a,b"; rel="next"',
    }[form]
    for page in range(4):
        path = f"{LIST}?last={page}&token=x%2Fy%3D" if page else LIST
        after = f"{LIST}?last={page + 1}&token=x%2Fy%3D"
        link = following.format(path=after, url=stub_registry.url, last=page + 1) if page < 3 else ""
        stub_registry.say(path, {"tags": [f"t{page}a", f"t{page}b"]}, **({"Link": link} if link else {}))
    assert client().tags() == [f"t{page}{letter}" for page in range(4) for letter in "ab"]


@pytest.mark.parametrize(
    "link",
    [
        '<http://evil.example/v2/lab/tags/list>; rel="next"',
        '<//evil.example/v2/lab/tags/list>; rel="next"',
        '<http://127.0.0.1:1/v2/lab/tags/list>; rel="next"',
        '<https://127.0.0.1/v2/lab/tags/list>; rel="next"',
        '<javascript:alert(1)>; rel="next"',
        '<http://[::bad/x>; rel="next"',
    ],
)
def test_a_link_to_elsewhere_is_not_followed(stub_registry, client, link):
    stub_registry.say(LIST, {"tags": ["a"]}, Link=link)
    with pytest.raises(ProtocolError):
        client().tags()
    assert len(stub_registry.requests) == 1


def test_a_repeated_page_ends(stub_registry, client):
    stub_registry.say(LIST, {"tags": ["a"]}, Link=f'<{LIST}?n=1>; rel="next"')
    stub_registry.say(f"{LIST}?n=1", {"tags": ["b"]}, Link=f'<{LIST}>; rel="next"')
    with pytest.raises(ProtocolError, match="read already"):
        client().tags()


def test_a_list_without_end_is_given_up(stub_registry, client, monkeypatch):
    monkeypatch.setattr(registry_module, "MAX_PAGES", 5)
    count = iter(range(1000))
    stub_registry.answers[LIST] = lambda request: (
        200,
        {"Link": f'<{LIST}?n={next(count)}>; rel="next"'},
        {"tags": []},
    )
    with pytest.raises(ProtocolError, match="does not end"):
        client().tags()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", {"tags": 3}, {"tags": [3]}, b"[" * 10_000])
def test_a_list_that_is_none(stub_registry, client, body):
    stub_registry.say(LIST, body)
    with pytest.raises(ProtocolError):
        client().tags()


def test_missing_repository(stub_registry, client):
    with pytest.raises(NotFoundError):
        client().tags()


def test_digest_by_head(stub_registry, client, image_digest):
    stub_registry.say(f"{MANIFEST}w_2021_22", Docker_Content_Digest=image_digest("x"))
    assert client().digest("w_2021_22") == image_digest("x")
    command, _, headers = stub_registry.requests[0]
    assert command == "HEAD"
    assert headers["Accept"].count("application/vnd.") == 4
    assert client().digest("none") is None


def test_digest_is_computed_where_the_registry_names_none(stub_registry, client):
    stub_registry.say(f"{MANIFEST}t", b"{}")
    assert client().digest("t") == f"sha256:{hashlib.sha256(b'{}').hexdigest()}"


def test_a_digest_that_does_not_match_is_refused(stub_registry, client, image_digest):
    stub_registry.say(f"{MANIFEST}t", b"{}", Docker_Content_Digest=image_digest("other"))
    with pytest.raises(ProtocolError, match="names the digest"):
        client().verified_digest("t")
    stub_registry.say(f"{MANIFEST}t", Docker_Content_Digest="md5:1")
    with pytest.raises(ProtocolError, match="no digest"):
        client().digest("t")


def test_a_missing_tag_and_a_missing_repository_are_told_apart(stub_registry, client):
    stub_registry.say(f"{MANIFEST}t", b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', 404)
    assert client().verified_digest("t") is None
    with pytest.raises(NotFoundError):
        client().verified_digest("u")


@pytest.mark.parametrize("tag", ["../../evil", "a/b", "a b", "", "x\x1b[31m", "a?b", "<b>", "x" * 129])
def test_a_tag_that_is_none_is_not_asked_for(stub_registry, client, tag):
    assert client().digest(tag) is None
    assert client().verified_digest(tag) is None
    assert stub_registry.requests == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_registry_is_asked_again(stub_registry, client, status):
    answers = iter([(status, {"Retry-After": "1"}, b""), (status, {}, b""), (200, {}, {"tags": ["a"]})])
    stub_registry.answers[LIST] = lambda request: next(answers)
    waits = []
    assert client(pause=waits.append).tags() == ["a"]
    assert waits == [1.0, 1.0]


def test_a_registry_that_stays_busy_is_given_up(stub_registry, client):
    stub_registry.say(LIST, b"", 503)
    with pytest.raises(RejectedError):
        client(attempts=3).tags()
    assert len(stub_registry.requests) == 3


@pytest.mark.parametrize(
    ("status", "error"), [(403, ForbiddenError), (302, RejectedError), (418, RejectedError)]
)
def test_other_answers(stub_registry, client, status, error):
    stub_registry.say(LIST, b"", status, Location="http://evil.example/")
    with pytest.raises(error):
        client().tags()
    assert len(stub_registry.requests) == 1


def test_a_slow_registry_is_not_waited_for(stub_registry, client):
    stub_registry.say(LIST, b" " * 50_000)
    stub_registry.delay_s = 0.2  # it trickles, always sooner than a timeout of the socket
    begun = time.monotonic()
    with pytest.raises(ServiceTimeoutError):
        client(timeout_s=0.5, attempts=1).tags()
    assert time.monotonic() - begun < 3


def test_an_answer_too_long_is_refused(stub_registry, client, monkeypatch):
    monkeypatch.setattr(registry_module, "MAX_BODY_BYTES", 1000)
    stub_registry.say(LIST, {"tags": ["x" * 2000]})
    with pytest.raises(ProtocolError, match="longer"):
        client().tags()


def test_nobody_answers():
    registry = Registry("http://127.0.0.1:9", "lab", attempts=2, pause=lambda seconds: None)
    with pytest.raises(UnreachableError):
        registry.tags()


@pytest.mark.parametrize(
    "url",
    ["http://ghcr.io", "ftp://x", "https://user@ghcr.io", "", "https://:1", "http://127.0.0.1.evil.example"],
)
def test_what_is_no_registry_is_refused(url):
    with pytest.raises(InputError):
        Registry(url, "lab")
    with pytest.raises(InputError):
        Registry("ghcr.io", "../lab")


def test_this_computer_is_asked_by_http_and_others_by_https(stub_registry):
    stub_registry.say(LIST, {"tags": ["a"]})
    registry = Registry(stub_registry.url.removeprefix("http://"), "lab")
    assert registry.tags() == ["a"]
    registry.close()
    assert registry_module._checked_url("ghcr.io") == "https://ghcr.io"
    assert registry_module._checked_url("docker.io") == "https://registry-1.docker.io"


def test_lists_are_asked_for_with_their_etag(stub_registry, client, tmp_path):
    def answer(request):
        if request.headers.get("If-None-Match") == '"one"':
            return 304, {"ETag": '"one"'}, b""
        return 200, {"ETag": '"one"'}, {"tags": ["a", "b"]}

    stub_registry.answers[LIST] = answer
    first = client(cache=tmp_path / "cache")
    assert first.tags() == first.tags() == ["a", "b"]
    assert client(cache=tmp_path / "cache").tags() == ["a", "b"]
    assert [headers.get("If-None-Match") for _, _, headers in stub_registry.requests] == [
        None,
        '"one"',
        '"one"',
    ]
    for path in (tmp_path / "cache").iterdir():
        path.write_text("broken")
    assert client(cache=tmp_path / "cache").tags() == ["a", "b"]


# Logging in.


def demand_basic(request):
    wanted = "Basic " + base64.b64encode(b"reader:secret").decode()
    if request.headers.get("Authorization") != wanted:
        return 401, {"WWW-Authenticate": 'Basic realm="lab"'}, b""
    return 200, {}, {"tags": ["a"]}


def test_basic(stub_registry, client):
    stub_registry.answers[LIST] = demand_basic
    assert client(user="reader", password=SecretStr("secret")).tags() == ["a"]
    with pytest.raises(AuthenticationError):
        client(user="reader", password=SecretStr("wrong")).tags()
    with pytest.raises(AuthenticationError):
        client().tags()


def test_bearer(stub_registry, client):
    scope = "repository:lab:pull,push"
    challenge = f'Bearer realm="{stub_registry.url}/token",service="a \\"quoted\\" one",scope="{scope}"'

    def demand(request):
        if request.headers.get("Authorization") != "Bearer good":
            return 401, {"WWW-Authenticate": challenge}, b""
        return 200, {}, {"tags": ["a"]}

    stub_registry.answers[LIST] = demand
    stub_registry.say("/token", {"token": "good"})
    registry = client(user="reader", password=SecretStr("secret"))
    assert registry.tags() == ["a"]
    token = next((path, headers) for _, path, headers in stub_registry.requests if path.startswith("/token"))
    assert token[0] == "/token?service=a+%22quoted%22+one&scope=repository%3Alab%3Apull%2Cpush"
    assert token[1]["Authorization"].startswith("Basic ")
    registry.tags()
    assert sum(path.startswith("/token") for path in paths(stub_registry)) == 1


@pytest.mark.parametrize(
    ("realm", "error"),
    [
        ("http://evil.example/token", RefusedError),
        ("https://evil.example/token", RefusedError),
        ("ftp://127.0.0.1/token", RefusedError),
        ("https://user@127.0.0.1/token", RefusedError),
        ("", RefusedError),
    ],
)
def test_credentials_go_nowhere_else(stub_registry, client, realm, error):
    stub_registry.say(LIST, b"", 401, WWW_Authenticate=f'Bearer realm="{realm}",service="x"')
    with pytest.raises(error):
        client(user="reader", password=SecretStr("secret")).tags()
    assert paths(stub_registry) == [LIST]


@pytest.mark.parametrize("body", [b"", {}, {"token": 3}, {"token": "a\nb"}, [1]])
def test_a_realm_that_sends_no_token(stub_registry, client, body):
    stub_registry.say(LIST, b"", 401, WWW_Authenticate=f'Bearer realm="{stub_registry.url}/token"')
    stub_registry.say("/token", body)
    with pytest.raises(ProtocolError):
        client().tags()


def test_a_token_that_is_not_accepted(stub_registry, client):
    stub_registry.say(LIST, b"", 401, WWW_Authenticate=f'Bearer realm="{stub_registry.url}/token"')
    stub_registry.say("/token", {"access_token": "good"})
    with pytest.raises(AuthenticationError):
        client().tags()
    stub_registry.say("/token", b"", 401)
    with pytest.raises(AuthenticationError):
        client().tags()
    stub_registry.say(LIST, b"", 401, WWW_Authenticate="Negotiate")
    with pytest.raises(AuthenticationError):
        client().tags()


def test_realms():
    hosts = ("auth.docker.io",)
    assert check_realm("https://auth.docker.io/token", "https://registry-1.docker.io", hosts)
    assert check_realm("https://ghcr.io/token", "https://ghcr.io", ())
    for realm in (
        "https://ghcr.io:8443/token",
        "https://auth.docker.io.evil.example/",
        "http://ghcr.io/token",
    ):
        with pytest.raises(RefusedError):
            check_realm(realm, "https://ghcr.io", hosts)


def test_challenges_are_read_with_their_quotes():
    header = (
        'Basic realm="a, b", Bearer realm="https://x/t",scope="repository:l:pull,push" , error=invalid_token'
    )
    basic, bearer = parse_challenges(header)
    assert (basic.scheme, basic.parameters) == ("basic", {"realm": "a, b"})
    assert bearer.parameters["scope"] == "repository:l:pull,push"
    assert bearer.parameters["error"] == "invalid_token"
    assert parse_challenges("") == []
    assert [c.scheme for c in parse_challenges("Negotiate, Basic realm=x")] == ["negotiate", "basic"]
    assert parse_challenges('"') == []


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet='<>",;= \\\trelnextbasic:/\u00e9', max_size=300))
def test_any_header_is_read_or_refused(header):
    for challenge in parse_challenges(header):
        assert challenge.scheme
    with contextlib.suppress(ProtocolError):
        next_link(header, "https://r.example/v2/lab/tags/list", set())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["<", " ", '"', "a=", "\\", ";", "<>;"])
def test_a_header_without_end_is_refused(piece):
    begun = time.monotonic()
    for header in (piece * 8000, piece * 70_000):
        with contextlib.suppress(ProtocolError):
            parse_challenges(f"Bearer {header}"[:8192] if len(header) < 9000 else header)
        with contextlib.suppress(ProtocolError):
            next_link(header[:8192] if len(header) < 9000 else header, "https://r.example/", set())
    assert time.monotonic() - begun < 5


def test_links():
    url = "https://r.example/v2/lab/tags/list"
    assert next_link(None, url, set()) is None
    assert next_link('<x>; rel="prev"', url, set()) is None
    assert next_link('<?last=b>; rel="next"', url, set()) == f"{url}?last=b"
    assert next_link('<?a>; rel="prev next"', url, set()) == f"{url}?a"
    with pytest.raises(ProtocolError):
        next_link(f'<{url}>; rel="next"', url, {url})


# A site that asks its registry.


def test_a_site_asks_for_the_digests_that_it_needs(stub_registry, image_digest, monkeypatch):
    tags = [f"w_2026_{week:02d}_c0044.{week:03d}" for week in range(1, 40)] + [
        "recommended_c0044",
        "odd\x1b[31m",
        "<b>",
    ]
    stub_registry.say(LIST, {"tags": tags})
    for tag in tags[:-3]:
        stub_registry.say(f"{MANIFEST}{tag}", tag.encode(), Docker_Content_Digest=image_digest(tag))
    stub_registry.say(
        f"{MANIFEST}recommended_c0044", tags[30].encode(), Docker_Content_Digest=image_digest(tags[30])
    )
    source = {"type": "docker", "registry": stub_registry.url, "repository": "lab"}
    policy = {"source": source, "numWeeklies": 3, "cycle": 44, "recommendedTag": "recommended_c0044"}
    images = LabImages(Site(name="hilltop", images=ImagesSection.model_validate(policy)))
    assert images.recommended.target.tag == tags[30]
    heads = [path for command, path, _ in stub_registry.requests if command == "HEAD"]
    assert len(heads) == 9  # three that are shown, then the next newest until the alias is resolved
    shown = [row for row in images.menu() if row.shown]
    assert [row.image.tag.tag for row in shown] == ["recommended_c0044", *tags[38:35:-1]]
    assert all(row.image.display.isprintable() for row in images.menu())


def test_a_site_logs_in_with_its_secrets(stub_registry, monkeypatch):
    stub_registry.answers[LIST] = demand_basic
    monkeypatch.setenv("COMMTOOLS_REGISTRY_USER", "reader")
    monkeypatch.setenv("COMMTOOLS_REGISTRY_PASSWORD", "secret")
    source = {"registry": stub_registry.url, "repository": "lab"}
    policy = {"source": source, "numReleases": 0, "numWeeklies": 0, "numDailies": 0}
    images = LabImages(Site(name="hilltop", images=ImagesSection.model_validate(policy)))
    assert "a" in images.listing
    assert images.recommended is None
