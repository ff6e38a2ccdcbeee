"""Signals that ask the program to stop: SIGINT (Ctrl-C), SIGTERM and SIGHUP."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS: Final = tuple(
    found for name in ("SIGINT", "SIGTERM", "SIGHUP") if (found := getattr(signal, name, None)) is not None
)
STATUS_OF_A_SIGNAL: Final = 128
"""Shells add this to a signal's number for the exit status of a program that the signal ended."""


class Interrupted(BaseException):
    """A signal asked the program to stop. Like `KeyboardInterrupt` it is no `Exception`: only the program catches it.

    Attributes:
        signal: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` for a signal; while it unwinds the stack, further signals do not disturb the clean-up.

    Python drops an exception that is raised in a finalizer, and prints "Exception ignored in". A signal that arrives
    just there is lost; it is heeded when it is sent again.

    A signal that is ignored from outside, as `nohup` does, stays ignored. A crash, such as a SIGBUS from a mapped file
    that was cut short while a library read it, prints the place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handled = [number for number, handler in before.items() if handler not in {signal.SIG_IGN, None}]
    try:
        for number in handled:
            signal.signal(number, _stop)
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


def _stop(number: int, _frame: FrameType | None) -> None:
    if not _is_unwinding(sys.exc_info()[1]):
        raise Interrupted(number)


def _is_unwinding(error: BaseException | None) -> bool:
    """True if the exception being handled is an `Interrupted`, or was raised while one was handled."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error is not None
