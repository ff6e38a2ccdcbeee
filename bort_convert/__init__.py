"""Bring GluonNLP (MXNet) checkpoints to PyTorch.

`convert` does the main job and `verify` proves it, `export` is the way back; `record` keeps a reference for later
proofs; `check` compares a directory with what was written, `add_tokenizer` completes it; `open_params` and
`save_params` read and write `.params` files; `inspect`, `extract`, `families` and `load_pretrained` serve migration
scripts. Importing this package imports neither MXNet nor torch, and each name is imported when it is first used.
"""

from importlib import import_module

from bort_convert.version import __version__

_PUBLIC = {
    "commands.check": "Check check",
    "commands.convert": "convert",
    "commands.export": "export",
    "commands.extract": "extract",
    "commands.inspect": "Inspection inspect",
    "commands.load": "load_pretrained",
    "commands.tokenizer": "add_tokenizer",
    "errors": "BackendError ConvertError FormatError InputError MappingError OptionError OutputError ParityError "
    "VariantError",
    "model_dir.manifest": "Manifest",
    "models.registry": "families",
    "params": "MAX_ARRAYS ParamsFile TensorInfo open_params save_params",
    "verification": "Report Trace record verify verify_published",
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = ["__version__", *_MODULES]  # noqa: PLE0604 - all of them are strings


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
