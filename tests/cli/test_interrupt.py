"""An interrupt that Python swallowed is raised at the next sign of progress."""

import gc
import signal

import pytest

from lsst_commtools.cli.interrupt import raise_if_interrupted, remember_interrupts
from lsst_commtools.cli.progress import progress_bars


@pytest.fixture
def own_handler():
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    remember_interrupts()
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_finaliser_is_not_lost(own_handler):
    class Rubbish:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    Rubbish()
    gc.collect()
    with progress_bars() as bars, pytest.raises(KeyboardInterrupt):
        bars("stage", 1, 2)
    raise_if_interrupted()  # once is enough


def test_an_ordinary_interrupt_is_raised_at_once(own_handler):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_somebody_elses_handler_stays():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        remember_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
