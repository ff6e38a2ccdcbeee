from bort_convert.batch.plan import read_plan
from bort_convert.batch.result import BatchResult
from bort_convert.batch.run import convert_batch
from bort_convert.commands.check import Check, check
from bort_convert.commands.convert import convert
from bort_convert.commands.environment import Environment, environment
from bort_convert.commands.export import export
from bort_convert.commands.extract import extract
from bort_convert.commands.inspect import Inspection, inspect
from bort_convert.commands.load import load_pretrained
from bort_convert.commands.tokenizer import add_tokenizer
from bort_convert.errors import (
    BackendError,
    ConvertError,
    FormatError,
    InputError,
    MappingError,
    OptionError,
    OutputError,
    ParityError,
    PlanError,
    VariantError,
)
from bort_convert.model_dir.manifest import Manifest
from bort_convert.models.registry import families
from bort_convert.params import MAX_ARRAYS, ParamsFile, TensorInfo, open_params, save_params
from bort_convert.tokenizer import TokenizerOptions
from bort_convert.verification import ReferenceOptions, Report, Trace, record, verify, verify_published
from bort_convert.version import __version__
from bort_convert.zoo import ZooEntry, zoo_entries

__all__ = [
    "MAX_ARRAYS",
    "BackendError",
    "BatchResult",
    "Check",
    "ConvertError",
    "Environment",
    "FormatError",
    "InputError",
    "Inspection",
    "Manifest",
    "MappingError",
    "OptionError",
    "OutputError",
    "ParamsFile",
    "ParityError",
    "PlanError",
    "ReferenceOptions",
    "Report",
    "TensorInfo",
    "TokenizerOptions",
    "Trace",
    "VariantError",
    "ZooEntry",
    "__version__",
    "add_tokenizer",
    "check",
    "convert",
    "convert_batch",
    "environment",
    "export",
    "extract",
    "families",
    "inspect",
    "load_pretrained",
    "open_params",
    "read_plan",
    "record",
    "save_params",
    "verify",
    "verify_published",
    "zoo_entries",
]
