"""What all sections of a site description share."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

__all__ = ["Endpoint", "Section"]

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>\S*)")


def _check_url(value: str) -> str:
    match = _URL.fullmatch(value)
    if value and match is None:
        raise ValueError("is not a URL")
    if match is not None and ":" in match["rest"].split("/", 1)[0].rpartition("@")[0]:
        raise ValueError("holds a password: a secret belongs into the environment or a file with mode 0600")
    return value.rstrip("/") if match is not None and match["scheme"].startswith("http") else value


Endpoint = Annotated[str, AfterValidator(_check_url)]
"""URL of a service, without a password; empty where the site has none."""


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values do not change, input never shows in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)
