"""Notes of a report: circumstances that change the meaning of its numbers."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OptionError, VariantError
from bort_convert.mapping.source_names import any_of, bare_name, placeholder_pattern
from bort_convert.models.registry import families
from bort_convert.verification.compare import BY_FLOOR, FLOAT64_NOISE, FLOORS
from bort_convert.verification.headline import labels
from bort_convert.verification.trace import LOGITS, REPLACED_COST, REPLACED_PARTS, TOKEN_HEADS

_SHOWN: Final = 4
_HEADS: Final = (LOGITS, *TOKEN_HEADS)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.model_dir.read import ModelDir
    from bort_convert.verification.compare import Run


def cast_note(directory: ModelDir, *, recorded: bool) -> tuple[str, ...]:
    """Note that the weights were cast, and whether the reference's were too.

    Args:
        directory: the converted directory.
        recorded: True if the reference is a trace.
    """
    dtype = directory.cast
    if dtype is None:
        return ()
    cast = f"conversion.json: the weights were cast to {dtype}"
    if not recorded:
        return (f"{cast}; GluonNLP ran on the values rounded in the same way",)
    advice = "give the largest that you accept with `atol=...`, or verify with the checkpoint"
    return (f"{cast} and the trace's were not: every difference holds that rounding too; {advice}",)


def graph_note(provenance: Mapping[str, str]) -> tuple[str, ...]:
    """Note that an exported network ran in place of GluonNLP's classes, and what of it was not compared.

    Args:
        provenance: of the reference's trace; empty where nothing ran.
    """
    if "graph" not in provenance:
        return ()
    digest = provenance["graph_sha256"]
    return (
        f"the reference is the exported network {provenance['graph']} (SHA-256 {digest}), run by MXNet",
        *(str(note) for note in json.loads(provenance["graph_notes"])),
    )


def dtype_note(requested: Sequence[str], runs: Sequence[Run]) -> tuple[str, ...]:
    """Note each requested precision in which the reference could not run."""
    ran = [run.dtype for run in runs]
    missing = [dtype for dtype in requested if ran and dtype not in ran]
    return tuple(f"{dtype}: not run, because the reference computes the model in {ran[0]} alone" for dtype in missing)


def replaced_note(provenance: Mapping[str, str], runs: Sequence[Run]) -> tuple[str, ...]:
    """Note the parts of MXNet that the reference's float64 run had replaced."""
    parts = provenance.get(REPLACED_PARTS)
    if parts is None or not any(run.dtype == "float64" for run in runs):
        return ()
    cost = f"as it is, its outputs are up to {provenance[REPLACED_COST]} off"
    return (f"float64: MXNet computes {parts}, and GluonNLP was given right code in its place; {cost}",)


def recorded_note(provenance: Mapping[str, str], *, recorded: bool) -> tuple[str, ...]:
    """Note that the reference did not run now."""
    if not recorded:
        return ()
    ran = ", ".join(f"{name} {provenance[name]}" for name in ("mxnet", "gluonnlp") if name in provenance)
    return (f"recorded: the outputs of the reference were kept from an earlier run{f' of {ran}' if ran else ''}",)


def own_head_note(directory: ModelDir, runs: Sequence[Run]) -> tuple[str, ...]:
    """Note the tensors of a table of the user's own, unless the reference has a network for them."""
    family = directory.conversion.known_family
    own = any_of(placeholder_pattern(name) for table in family.tables for name in table.own) if family else any_of(())
    entries = directory.conversion.tensors.items()
    names = [name for name, tensor in entries if any(own.fullmatch(bare_name(source)) for source in tensor.sources)]
    if not names or any(layer.name in _HEADS for run in runs for layer in run.layers):
        return ()
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
    advice = "with `symbol=...`, the exported network, it is compared too"
    return (
        f"the head of your own table was compared in its bits alone, GluonNLP has no network for it: {shown}; {advice}",
    )


def limit_note(runs: Sequence[Run]) -> tuple[str, ...]:
    """Note the outputs whose limit was set by the reference's noise floor."""
    notes = []
    for run in runs:
        names = [layer.name for layer in run.layers if layer.limit_by == BY_FLOOR]
        factor = f"{FLOORS:g} times mxnet's float32 noise floor"
        scaled = f"{factor}, times 2**{math.log2(FLOAT64_NOISE):g}" if run.dtype == "float64" else factor
        notes += [f"{run.dtype}: the limit of {labels(names)} is {scaled}"] if names else []
    return tuple(notes)


def version_note(provenance: Mapping[str, str], versions: Mapping[str, str]) -> tuple[str, ...]:
    """Note that the gluonnlp that ran computes something else than the version that the conversion is for.

    Args:
        provenance: of the reference; see `Trace`.
        versions: of the frameworks that ran.
    """
    family, release = families().get(provenance["family"]), versions.get("gluonnlp", "")
    if family is None or family.mxnet_module != "bert":  # our own networks compute by the hyperparameters alone
        return ()
    hyperparameters, differing = json.loads(provenance["hyperparameters"]), dict[str, None]()
    with suppress(OptionError, VariantError):  # a trace may be of any release
        ran = family.for_version(release).hyperparameters
        names = [name for changes in family.by_version.values() for name in changes]
        differing = dict.fromkeys(name for name in names if hyperparameters.get(name) != ran.get(name))
    if not differing:
        return ()
    names_differing = ", ".join(differing)
    advice = (
        f"convert with `gluonnlp_version={release!r}` if it trained the checkpoint, or run another with `gluonnlp=...`"
    )
    return (f"gluonnlp {release} ran, which differs from what the conversion is for in {names_differing}: {advice}",)
