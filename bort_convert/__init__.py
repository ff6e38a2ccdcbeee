"""Brings GluonNLP (MXNet) checkpoints to PyTorch.

`convert` does the main job; `open_params` and `save_params` read and write the files of a framework that is gone;
`inspect`, `extract` and `families` serve migration scripts. Importing this imports neither MXNet nor torch.
"""

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
from bort_convert.extract import extract
from bort_convert.family import families
from bort_convert.inspection import Inspection, inspect
from bort_convert.manifest import Manifest
from bort_convert.params import ParamsFile, TensorInfo, open_params, save_params

__all__ = [
    "BackendError",
    "ConvertError",
    "FormatError",
    "Inspection",
    "Manifest",
    "MappingError",
    "OutputError",
    "ParamsFile",
    "ParityError",
    "TensorInfo",
    "VariantError",
    "convert",
    "extract",
    "families",
    "inspect",
    "open_params",
    "save_params",
]
