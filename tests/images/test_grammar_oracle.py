"""The grammar against an oracle that says it once more: the contract's regular expressions, tried in their order."""

from __future__ import annotations

import datetime as dt
import random
import re

from lsst_commtools.images import parse_tag

CYC = r"(?:_c(?P<cycle>[0-9]+)\.(?P<build>[0-9]+))?"
ARCH = r"(?:-(?P<arch>[a-z0-9]+))?"
TAIL = CYC + r"(?:_rsp(?P<rsp>[0-9]+))?(?:_(?P<rest>.+?))?" + ARCH
RULES = [
    ("candidate", r"r[0-9]+_[0-9]+_[0-9]+_rc[0-9]+" + TAIL),
    ("release", r"r[0-9]+_[0-9]+_[0-9]+" + TAIL),
    ("release", r"r[0-9]{3}"),
    ("weekly", r"w_(?P<y>[0-9]+)_(?P<w>[0-9]+)" + TAIL),
    ("daily", r"d_(?P<y>[0-9]+)_(?P<m>[0-9]+)_(?P<d>[0-9]+)" + TAIL),
    ("experimental", r"exp_(?P<inner>.+)"),
    ("unknown", r".*?_c(?P<cycle>[0-9]+)" + ARCH),
    ("unknown", r".*?" + ARCH),
]
PIECES = [
    "r22_0_0", "r22_0_0_rc1", "w_2021_22", "w_2021_53", "d_2021_02_30", "d_2021_02_27", "r170", "exp_", "exp", "foo",
    "_c0020.001", "_c0020", "_rsp19", "-amd64", "-", "_", "_x", "-AMD", "recommended", "_rc2", "20210101", "_20210101",
    "c1", "r", "w_", "d_", "1", "\n", ".",
]  # fmt: skip


def oracle(text):
    """Type, cycle, cycle build, RSP build, extra text, architecture."""
    for kind, rule in RULES:
        if (match := re.fullmatch(rule, text)) is None:
            continue
        parts = match.groupdict()
        try:
            if kind == "weekly":
                dt.date.fromisocalendar(int(parts["y"]), int(parts["w"]), 4)
            if kind == "daily":
                dt.date(int(parts["y"]), int(parts["m"]), int(parts["d"]))
        except (ValueError, OverflowError):
            continue
        if kind == "experimental":
            return ("experimental", *oracle(parts["inner"])[1:])
        numbers = [None if parts.get(n) is None else int(parts[n]) for n in ("cycle", "build", "rsp")]
        return (kind, *numbers, parts.get("rest"), parts.get("arch"))
    return ("unknown", None, None, None, None, None)


def test_random_tags_are_read_as_the_contract_says():
    rng = random.Random(5)
    repaired = 0
    for _ in range(20_000):
        text = "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 6)))
        tag = parse_tag(text)
        found = (tag.type.value, tag.cycle, tag.cycle_build, tag.rsp_build, tag.extra, tag.architecture)
        assert found[0] == oracle(text)[0]
        if tag.problems:  # where nublado loses a part, it is kept here and reported
            repaired += found != oracle(text)
        else:
            assert found == oracle(text)
    assert repaired > 100
