"""How much memory a verification took."""

from __future__ import annotations

import sys


def peak_mb() -> float:
    """The largest resident memory so far, of this process or a child of it, in 10**6 bytes; 0 where unknown."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 0.0
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) * (1 if sys.platform == "darwin" else 1024) / 1e6
