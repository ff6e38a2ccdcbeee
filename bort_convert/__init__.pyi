from bort_convert.bundle import add_tokenizer
from bort_convert.check import Check, check
from bort_convert.convert import convert
from bort_convert.errors import (
    BackendError,
    ConvertError,
    FormatError,
    MappingError,
    OutputError,
    ParityError,
    VariantError,
)
from bort_convert.export import export
from bort_convert.extract import extract
from bort_convert.family import families
from bort_convert.inspection import Inspection, inspect
from bort_convert.loading import load_pretrained
from bort_convert.manifest import Manifest
from bort_convert.params import MAX_ARRAYS, ParamsFile, TensorInfo, open_params, save_params
from bort_convert.verify import Report, Trace, record, verify, verify_published
from bort_convert.version import __version__

__all__ = [
    "MAX_ARRAYS",
    "BackendError",
    "Check",
    "ConvertError",
    "FormatError",
    "Inspection",
    "Manifest",
    "MappingError",
    "OutputError",
    "ParamsFile",
    "ParityError",
    "Report",
    "TensorInfo",
    "Trace",
    "VariantError",
    "__version__",
    "add_tokenizer",
    "check",
    "convert",
    "export",
    "extract",
    "families",
    "inspect",
    "load_pretrained",
    "open_params",
    "record",
    "save_params",
    "verify",
    "verify_published",
]
