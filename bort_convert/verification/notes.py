"""What a person should know before reading a report's numbers."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from bort_convert.errors import VariantError
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.model_dir.read import ModelDir
    from bort_convert.verification.compare import Run


def cast_note(directory: ModelDir, *, recorded: bool) -> tuple[str, ...]:
    """That the weights were cast, and whether the reference's were too.

    Args:
        directory: the converted directory.
        recorded: whether the reference is a trace.
    """
    dtype = directory.cast
    if dtype is None:
        return ()
    known = f"conversion.json: the weights were cast to {dtype}"
    if not recorded:
        return (f"{known}; GluonNLP ran on the values rounded in the same way",)
    advice = "say with --atol what it may be, or verify with the checkpoint"
    return (f"{known} and the trace's were not: every difference holds that rounding too; {advice}",)


def dtype_note(asked: Sequence[str], runs: Sequence[Run]) -> tuple[str, ...]:
    """That a precision was asked for and the reference could not be run in it."""
    ran = [run.dtype for run in runs]
    missing = [dtype for dtype in asked if ran and dtype not in ran]
    return tuple(f"{dtype}: not run, because this gluonnlp computes the model in {ran[0]} alone" for dtype in missing)


def version_note(provenance: Mapping[str, str], versions: Mapping[str, str]) -> tuple[str, ...]:
    """That the release of gluonnlp that ran computes something else than the one that the conversion is for.

    Args:
        provenance: a trace's: what the source is.
        versions: what ran.
    """
    known, release = families().get(provenance["family"]), versions.get("gluonnlp", "")
    if known is None or known.mxnet_module != "bert":  # the networks that we write go by the hyperparameters alone
        return ()
    hyperparameters, differing = json.loads(provenance["hyperparameters"]), dict[str, None]()
    with suppress(VariantError):  # a trace may be of any release
        ran = known.for_version(release).hyperparameters
        names = [name for told in known.by_version.values() for name in told]
        differing = dict.fromkeys(name for name in names if hyperparameters.get(name) != ran.get(name))
    if not differing:
        return ()
    advice = f"convert with --producer {release} if it trained the checkpoint, or run another with --gluonnlp"
    told = ", ".join(differing)
    return (f"gluonnlp {release} ran, which differs from what the conversion is for in {told}: {advice}",)
