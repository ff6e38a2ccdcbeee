"""Environment of the programs that tests start."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """Our environment without coverage's variables, so that a program runs without coverage.

    Coverage takes time, and a program that a signal stops could leave a lock of coverage's taken forever.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
