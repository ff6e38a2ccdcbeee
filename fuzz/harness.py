"""Fuzz one target with atheris: `python fuzz/harness.py TARGET [arguments of libFuzzer, or files to try again]`."""

from __future__ import annotations

import sys
import warnings

import atheris

with atheris.instrument_imports(include=["bort_convert", "zipfile"]):
    from targets import TARGETS


def main() -> None:
    """Fuzz the target that the first argument names, and pass the other arguments to libFuzzer."""
    warnings.simplefilter("error")  # a warning is a fault, too
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
