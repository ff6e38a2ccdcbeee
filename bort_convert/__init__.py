"""Brings GluonNLP (MXNet) checkpoints to PyTorch.

`convert` does the main job and `verify` proves it, `export` is the way back; `record` keeps a reference for later
proofs; `check` compares a directory with what was written, `add_tokenizer` completes it; `open_params` and
`save_params` read and write the files of a framework that is gone; `inspect`, `extract`, `families` and
`load_pretrained` serve migration scripts. Importing this imports neither MXNet nor torch.
"""

import sys
from importlib import import_module
from types import ModuleType

from bort_convert.version import __version__

_PUBLIC = {
    "bundle": "add_tokenizer",
    "check": "Check check",
    "convert": "convert",
    "errors": "BackendError ConvertError FormatError MappingError OutputError ParityError VariantError",
    "export": "export",
    "extract": "extract",
    "family": "families",
    "inspection": "Inspection inspect",
    "loading": "load_pretrained",
    "manifest": "Manifest",
    "params": "MAX_ARRAYS ParamsFile TensorInfo open_params save_params",
    "verify": "Report Trace record verify verify_published",
}
_PLACES = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = ["__version__", *_PLACES]  # noqa: PLE0604 - all of them are strings


class _Package(ModuleType):
    """Imports a public name when it is first asked for, so that a command loads what it uses and no more."""

    def __getattr__(self, name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{self.__name__}.{_PLACES[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        # The import system sets `convert` to the module that the function of that name lives in; the function it stays.
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_PLACES]


sys.modules[__name__].__class__ = _Package
