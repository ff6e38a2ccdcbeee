"""One target under atheris: `python fuzz/harness.py TARGET [libFuzzer's own arguments, or files to try again]`."""

from __future__ import annotations

import sys
import warnings

import atheris

with atheris.instrument_imports(include=["bort_convert", "zipfile"]):
    from targets import TARGETS


def main() -> None:
    """Fuzz the target that the first argument names; what is left of the arguments goes to libFuzzer."""
    warnings.simplefilter("error")  # a warning on a user's screen is a fault, too
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
