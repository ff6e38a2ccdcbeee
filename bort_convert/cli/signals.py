"""Being told to stop, by Ctrl-C or by the system: things are left in order, one line says so, and the status tells."""

from __future__ import annotations

import contextlib
import faulthandler
import os
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
KILLED: Final = 128
"""What shells add to a signal's number for the status of a program that it ended."""
_LATER: Final = 0.001
"""Seconds after which a signal that got lost is sent once more."""


class Interrupted(BaseException):
    """A signal that asks to stop; no error of ours, and not to be caught on the way out.

    Attributes:
        signal: which one.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let the first signal to stop raise `Interrupted`, and ignore the next ones while that is on its way out.

    Python drops what is raised where nothing can catch it, as in a finalizer or while it forgets an import's lock: then
    the signal is sent once more.

    A signal that is ignored from outside (as `nohup` does) stays so. What ends the process all the same, such as a
    mapped file that another library still reads when it is cut short, has its place printed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handled = [number for number, handler in before.items() if handler not in {signal.SIG_IGN, None}]

    hook = sys.unraisablehook

    def listen() -> None:
        for number in handled:
            signal.signal(number, stop)

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    def dropped(what: sys.UnraisableHookArgs) -> None:
        if isinstance(what.exc_value, Interrupted):
            listen()
            threading.Timer(_LATER, _send, [what.exc_value.signal]).start()
        else:
            hook(what)

    try:
        sys.unraisablehook = dropped
        listen()
        yield
    finally:
        sys.unraisablehook = hook
        for number in handled:
            signal.signal(number, before[number])


def _send(number: int) -> None:
    """Send this process a signal, in a way that wakes the main thread where the system can."""
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)
