"""What a directory is compared with: a recorded trace, or GluonNLP running on MXNet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.verify import rungs
from bort_convert.verify.behaviour import chosen_dtypes
from bort_convert.verify.live import Reference, provenance, run_reference
from bort_convert.verify.trace import Trace, load_trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.verify.result import Rung


@dataclass(frozen=True)
class Subject:
    """A reference, ready to be compared with.

    Attributes:
        provenance: what it is; see `Trace`.
        bits: the second rung's verdict.
        dtypes: the precisions to compare.
        run: gives its outputs.
    """

    provenance: Mapping[str, str]
    bits: Rung
    dtypes: tuple[str, ...]
    run: Callable[[], Trace]


def recorded(
    path: str | os.PathLike[str], target: str | os.PathLike[str], dtypes: Sequence[str], *, all_needed: bool
) -> Subject:
    """A trace: its outputs are at hand, and its weights known by their digests alone.

    Raises:
        FormatError: the trace cannot be read.
        ConvertError: it lacks a precision that is needed.
    """
    trace = load_trace(path)
    found = chosen_dtypes(trace, dtypes, Path(path).name, all_needed=all_needed)
    return Subject(trace.provenance, rungs.digests(target, trace.provenance), found, lambda: trace)


def running(
    reference: Reference,
    target: str | os.PathLike[str],
    inputs: dict[str, Array],
    dtypes: tuple[str, ...],
    *,
    attentions: bool,
) -> Subject:
    """A checkpoint: GluonNLP runs it when its outputs are asked for, and its weights are compared bit for bit."""
    run = partial(run_reference, reference, inputs, dtypes=dtypes, attentions=attentions)
    return Subject(provenance(reference), rungs.bits(target, reference), dtypes, run)
