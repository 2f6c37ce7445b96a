"""The look that panels share: contrast, colours for colour-blind eyes, escaping, work beside the main thread."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.errors import InputError
from lsst_commtools.widgets.style import COLOURS, Panel, ProgressBar, Tone, badge, message, safe, table

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def linear(colour):
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return linear(colour) @ [0.2126, 0.7152, 0.0722]


def lab(rgb):
    """CIE L*a*b* of linear sRGB, D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(np.clip(xyz, 0, None) / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("tone", Tone)
def test_text_on_a_badge_has_contrast(tone):
    low, high = sorted(luminance(colour) for colour in COLOURS[tone])
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.1, level AA


@pytest.mark.parametrize("kind", BLINDNESS)
def test_tones_are_told_apart_by_all_eyes(kind):
    seen = {tone: lab(np.clip(np.array(BLINDNESS[kind]) @ linear(COLOURS[tone][0]), 0, 1)) for tone in Tone}
    for one, other in itertools.combinations(Tone, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 10, (one, other)


def test_signs_differ():
    assert len({tone.value for tone in Tone}) == len(Tone)


@given(st.text())
def test_nothing_from_outside_is_markup(text):
    shown = badge(text, Tone.BAD) + message(text, Tone.GOOD) + table(text, [text], [[safe(text)]])
    assert "<" not in safe(text)
    assert shown.replace(safe(text), "").count("<") == badge("", Tone.BAD).count("<") + (
        message("x", Tone.GOOD).count("<") if text else 0
    ) + table("", [""], [[""]]).count("<")


def test_an_error_is_an_alert():
    assert 'role="alert"' in message("no", Tone.BAD)
    assert 'role="status"' in message("yes", Tone.GOOD)
    assert message("") == ""


def test_a_bar_is_seen_while_something_is_under_way():
    bar = ProgressBar()
    assert bar.layout.visibility == "hidden"
    bar("Copying", 3, 9)
    assert (bar._bar.value, bar._bar.max, bar.layout.visibility) == (3, 9, "visible")
    assert "Copying: 3 of 9" in bar._words.value
    bar("Waiting", 0, 0)
    assert "Waiting ..." in bar._words.value
    bar.end()
    assert bar.layout.visibility == "hidden"


def test_work_goes_on_beside_the_main_thread_one_after_the_other():
    panel, order, go = Panel([]), [], threading.Event()

    def first():
        go.wait(10)
        order.append(
            (1, threading.current_thread() is threading.main_thread(), panel.progress.layout.visibility)
        )

    def second():
        order.append(2)
        raise InputError("The <second> failed.")

    threads = [panel.in_background(first, "First")]
    while panel.progress.layout.visibility != "visible":
        time.sleep(0.01)
    threads.append(panel.in_background(second))
    assert order == []
    go.set()
    for thread in threads:
        thread.join(10)
    assert order == [(1, False, "visible"), 2]
    assert "The &lt;second&gt; failed." in panel.told.value
    assert panel.progress.layout.visibility == "hidden"
