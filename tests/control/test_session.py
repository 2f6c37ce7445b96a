import io
import logging
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from lsst_commtools.control.session import LoveSession
from lsst_commtools.errors import (
    AuthenticationError,
    CommtoolsError,
    ForbiddenError,
    ProtocolError,
    ServiceTimeoutError,
    UnreachableError,
)


@pytest.fixture
def login(observatory):
    love = observatory.services["love"]
    made = []

    def make(url=love.url, user="operator", password=love.password, token=None, **given):
        secret = None if password is None else SecretStr(password)
        made.append(LoveSession(url, user=user, password=secret, token=token, reply_timeout_s=1.0, **given))
        return made[-1]

    yield make
    for session in made:
        session.close()


def test_a_wrong_password_is_said_in_one_sentence(login):
    with pytest.raises(AuthenticationError, match="Unable to log in with provided credentials"):
        login(password="wrong").token()


def test_no_login_at_all(login):
    with pytest.raises(AuthenticationError, match="COMMTOOLS_LOVE_PASSWORD"):
        login(password=None).token()


def test_an_expired_token_is_renewed_once_with_the_password(observatory, login):
    session = login()
    first = session.token()
    observatory.call(lambda: [user.expire() for user in observatory.observatory.users.values()])
    assert "DIMM" in session.get("salinfo/topic-names")
    assert session.token() != first


def test_an_expired_token_without_password_asks_for_another(observatory, login):
    tokens = observatory.observatory.users["operator"].tokens
    observatory.call(tokens.add, "a" * 40)
    session = login(password=None, user="", token=SecretStr("a" * 40))
    assert session.user == "operator"
    observatory.call(observatory.observatory.users["operator"].expire)
    with pytest.raises(AuthenticationError, match="COMMTOOLS_LOVE_TOKEN"):
        session.get("salinfo/topic-names")


def test_a_token_that_was_never_good(login):
    with pytest.raises(AuthenticationError, match="Invalid Token"):
        login(password=None, token=SecretStr("b" * 40)).token()


def test_closing_deletes_the_token_that_was_made_and_no_other(observatory, login):
    tokens = observatory.observatory.users["operator"].tokens
    session = login()
    session.token()
    assert len(tokens) == 1
    session.close()
    assert not tokens
    observatory.call(tokens.add, "c" * 40)
    other = login(password=None, token=SecretStr("c" * 40))
    other.token()
    other.close()
    assert tokens == {"c" * 40}


def test_errors_of_the_network_are_told_apart(login, break_it):
    with pytest.raises(UnreachableError, match="cannot be reached"):
        login(url="http://127.0.0.1:9").token()
    with pytest.raises(ProtocolError, match="no LOVE"):
        login(url=f"{login().url}/love").token()
    session = login()
    session.token()
    break_it("love", "hang")
    with pytest.raises(ServiceTimeoutError, match="did not answer"):
        session.get("salinfo/topic-names")
    break_it("love", "drop")
    with pytest.raises(UnreachableError):
        session.post("cmd/", {})


def test_a_post_without_slash_is_not_followed(login):
    with pytest.raises(ProtocolError, match="redirects"):
        login().post("cmd", {})


def test_the_right_to_command(login, observatory):
    assert login().may_command
    visitor = login(user="visitor", password=observatory.observatory.users["visitor"].password)
    assert not visitor.may_command
    with pytest.raises(ForbiddenError, match="not allowed to command"):
        visitor.post("cmd/", {"cmd": "cmd_enable", "params": {}, "csc": "DIMM", "salindex": 1})


def test_many_threads_log_in_once(login, observatory):
    session = login()
    with ThreadPoolExecutor(20) as pool:
        tokens = set(pool.map(lambda _: session.token(), range(40)))
    assert len(tokens) == len(observatory.observatory.users["operator"].tokens) == 1
    observatory.call(observatory.observatory.users["operator"].expire)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: session.get("salinfo/topic-names"), range(40)))
    assert all("DIMM" in answer for answer in answers)
    assert len(observatory.observatory.users["operator"].tokens) == 1


def test_loves_clock_is_tai(login):
    assert login().clock_offset_s == pytest.approx(37.0, abs=0.5)


def everything_shown(error):
    """All that a verbose traceback prints: each frame with its local variables, causes and contexts."""
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return shown + repr(error) + repr(vars(error))


@pytest.mark.parametrize("fault", ["http_500", "hang", "drop", "http_504"])
def test_no_secret_in_tracebacks_reprs_and_logs(observatory, login, break_it, caplog, fault):
    caplog.set_level(logging.DEBUG)
    session = login()
    session.token()
    shown = repr(session) + repr(vars(session))
    break_it("love", fault, times=-1)
    for act in (lambda: session.get("salinfo/topic-names"), lambda: session.post("cmd/", {}), login().token):
        with pytest.raises(CommtoolsError) as caught:
            act()
        shown += everything_shown(caught.value)
    observatory.call(observatory.observatory.faults.faults.clear)
    secrets = [session.token().get_secret_value(), observatory.services["love"].password]
    for secret in secrets:
        assert secret not in shown
        assert secret not in caplog.text


def test_the_token_in_the_websockets_url_shows_nowhere(
    observatory, make_control, break_it, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", printed)
    break_it("love", "refuse", where="ws/subscription", times=3)
    control = make_control()
    control.state("DIMM:1")
    token = next(iter(observatory.observatory.users["operator"].tokens))
    assert token not in caplog.text
    assert token not in printed.getvalue()
