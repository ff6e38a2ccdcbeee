"""The environment that a test gives a program of its own."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """Ours, without what has coverage measure the program.

    It would take its time; and one that is stopped by a signal may find a lock of coverage's taken for ever.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
