"""The reference of the Python interface: every public name, from its docstring."""

from __future__ import annotations

import bort_convert

INTRODUCTION = """\
# Python

Everything here is imported from `bort_convert`, when it is first used. Examples run beside the `fixtures` of a clone.
"""
GROUPS = {
    "Convert, and back": "convert export add_tokenizer Manifest TokenizerOptions load_pretrained",
    "Many checkpoints": "read_plan convert_batch BatchResult",
    "Prove": "verify record verify_published Report Trace ReferenceOptions check Check",
    "Look into checkpoints": "inspect Inspection extract families zoo_entries ZooEntry",
    "Read and write `.params`": "open_params save_params ParamsFile TensorInfo MAX_ARRAYS",
    "Errors": "ConvertError BackendError FormatError InputError MappingError OptionError OutputError ParityError "
    "PlanError VariantError",
    "Version and environment": "__version__ environment Environment",
}
PLACES = {"__version__": "version.__version__", "MAX_ARRAYS": "params.info.MAX_ARRAYS"}
"""Where constants stand; functions and classes know it."""


def page() -> str:
    """One entry for each public name, in groups; ValueError for a name that is in none, or not public."""
    grouped = " ".join(GROUPS.values()).split()
    if sorted(grouped) != sorted(bort_convert.__all__):
        raise ValueError(f"GROUPS and __all__ differ by {set(grouped) ^ set(bort_convert.__all__)}")
    parts = [INTRODUCTION]
    for title, names in GROUPS.items():
        parts += [f"## {title}", *(f"::: {_place(name)}" for name in names.split())]
    return "\n\n".join(parts) + "\n"


def _place(name: str) -> str:
    """Full name of a public object, where it is defined."""
    if name in PLACES:
        return f"bort_convert.{PLACES[name]}"
    return f"{getattr(bort_convert, name).__module__}.{name}"
