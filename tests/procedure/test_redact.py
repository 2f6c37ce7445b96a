from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.procedure.redact import REDACTED, Redactor

SECRET = 'p"w\\1/ü&x'


@pytest.mark.parametrize(
    "text",
    [
        f"password is {SECRET}.",
        json.dumps({"x": SECRET}),
        repr(SECRET),
        "https://host/?q=p%22w%5C1%2F%C3%BC%26x",
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_found_in_each_spelling(text):
    clean = Redactor([SECRET]).text(text)
    assert REDACTED in clean
    assert "w\\1" not in clean


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345678",
        "https://user:hunter2@host/path",
        "https://hooks.slack.com/services/T000/B000/abcdef",
        "gt-0123456789abcdefghij01.0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
)
def test_what_is_a_secret_by_its_shape_is_redacted(text):
    clean = Redactor().text(text)
    assert REDACTED in clean
    assert Redactor().text(clean) == clean


def test_ordinary_text_stays(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    text = "it is true that DIMM:1 at /run/agent is http://localhost:8080/love and basic math works"
    assert Redactor.of_environment(["ok"]).text(text) == text


def test_secrets_of_the_environment_and_of_files_are_known(empty_home, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "abc-from-env")
    monkeypatch.setenv("LEDGER", "postgresql://me:dbpass99@host/db")
    folder = empty_home / "commtools" / "secrets" / "local"
    folder.mkdir(parents=True)
    (folder / "love_password").write_text("abc-from-file\n")
    clean = Redactor.of_environment().value(
        {"a": ["abc-from-env", {"b": "x abc-from-file y"}], "c": "dbpass99"}
    )
    assert clean == {"a": [REDACTED, {"b": f"x {REDACTED} y"}], "c": REDACTED}


def test_entries_with_a_telling_name_are_redacted_as_a_whole():
    assert Redactor().value({"token": "x1", "n": 1, "image/png": "aGk="}) == {
        "token": REDACTED,
        "n": 1,
        "image/png": "aGk=",
    }


@settings(deadline=None)
@given(st.text(min_size=4), st.text(), st.text())
def test_a_secret_never_survives(secret, before, after):
    clean = Redactor([secret]).text(before + secret + after)
    assert secret not in clean.replace(REDACTED, "\0")
