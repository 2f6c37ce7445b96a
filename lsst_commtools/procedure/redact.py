"""Keeping secrets out of outputs, tracebacks, parameters and the ledger."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self
from urllib.parse import quote, urlsplit

from lsst_commtools.procedure.parameters.inject import json_values
from lsst_commtools.procedure.parameters.read import looks_secret
from lsst_commtools.site.home import commtools_home

__all__ = ["REDACTED", "Redactor", "recorded_values"]

REDACTED = "[redacted]"

_SHORTEST = 4
_BINARY = ("image/png", "image/jpeg", "application/pdf")
_SHORTEST_IN_ENVIRONMENT = 6
_NO_SECRETS = {"disabled", "enabled", "default", "required", "optional"}
_MAX_SECRET_FILE_BYTES = 65_536
_PATTERNS = [
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), r"\1 " + REDACTED),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), r"\1" + REDACTED + "@"),
    (re.compile(r"(hooks\.slack\.com/services/)[A-Za-z0-9/_-]+"), r"\1" + REDACTED),
    (re.compile(r"\bgt-[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{10,}"), REDACTED),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"), REDACTED),
]


def recorded_values(values: Mapping[str, Any], secret_names: Collection[str]) -> dict[str, Any]:
    """Give the parameters of a run as the ledger keeps them.

    Parameters
    ----------
    values
        Values by name.
    secret_names
        Those that are secret.

    Returns
    -------
    dict
        What JSON can hold, secrets redacted.
    """
    return {
        name: REDACTED if name in secret_names and value else value
        for name, value in json_values(values).items()
    }


class Redactor:
    """Replaces secrets by a mark.

    Parameters
    ----------
    secrets
        Values that must not be shown; those shorter than four characters are left, as they would hit ordinary text.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) >= _SHORTEST:
                forms |= _forms(secret)
        self._pattern = (
            re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True)))) if forms else None
        )

    @classmethod
    def of_environment(cls, more: Iterable[str] = ()) -> Self:
        """Know the secrets of this process: variables with telling names, and the files of secrets.

        Parameters
        ----------
        more
            Further secrets, such as those among the parameters.

        Returns
        -------
        Redactor
            For this process.
        """
        return cls([*_environment_secrets(os.environ), *_file_secrets(), *more])

    def text(self, text: str) -> str:
        """Redact text.

        Parameters
        ----------
        text
            Any text.

        Returns
        -------
        str
            The text with each secret replaced.
        """
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: Any) -> Any:
        """Redact all text in plain values.

        Parameters
        ----------
        value
            Text, lists, dictionaries, anything else.

        Returns
        -------
        object
            The same shape; entries with the name of a secret are replaced as a whole.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(k)): self._entry(str(k), v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def _entry(self, key: str, value: Any) -> Any:
        if isinstance(value, str) and value and looks_secret(key):
            return REDACTED
        return value if key.startswith(_BINARY) else self.value(value)


def _forms(secret: str) -> set[str]:
    """Give the spellings under which a secret shows up: plain, in JSON and repr, in a URL, in base64."""
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""), encoded}


def _environment_secrets(environment: Mapping[str, str]) -> list[str]:
    found = [
        value for name, value in environment.items() if looks_secret(name) and not name.endswith("_FILE")
    ]
    for value in environment.values():
        if "://" in value and "@" in value:
            try:
                password = urlsplit(value).password
            except ValueError:
                continue
            if password:
                found.append(password)
    stripped = (value.strip() for value in found)
    return [
        value
        for value in stripped
        if len(value) >= _SHORTEST_IN_ENVIRONMENT
        and value not in _NO_SECRETS
        and not value.startswith(("/", "~"))
    ]


def _file_secrets() -> list[str]:
    folder = commtools_home() / "secrets"
    found = []
    for path in folder.glob("*/*") if folder.is_dir() else []:
        try:
            if path.is_file() and path.stat().st_size <= _MAX_SECRET_FILE_BYTES:
                found.append(path.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError):
            continue
    return found
