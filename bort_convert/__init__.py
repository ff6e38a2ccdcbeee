"""Convert GluonNLP (MXNet) checkpoints to PyTorch, and verify the conversions.

| function | purpose |
|---|---|
| `convert_batch`, `read_plan` | convert many checkpoints by a plan |
| `convert`, `export` | write a directory that transformers loads, and back to a checkpoint |
| `verify`, `record`, `verify_published` | compare a conversion with the original, layer by layer; keep a reference |
| `check`, `add_tokenizer`, `load_pretrained` | compare a directory with its manifest, complete it, load it |
| `inspect`, `extract`, `families` | look into checkpoints, take their arrays, list the models |
| `environment` | describe versions and extras for a bug report |
| `zoo_entries` | list the files that GluonNLP published |
| `open_params`, `save_params` | read and write `.params` files |

Importing this package imports neither MXNet nor torch; each name is imported when it is first used.
"""

from bort_convert.public_names import import_on_demand
from bort_convert.version import __version__

_PUBLIC = {
    "batch.plan": "read_plan",
    "batch.result": "BatchResult",
    "batch.run": "convert_batch",
    "commands.check": "Check check",
    "commands.convert": "convert",
    "commands.environment": "Environment environment",
    "commands.export": "export",
    "commands.extract": "extract",
    "commands.inspect": "Inspection inspect",
    "commands.load": "load_pretrained",
    "commands.tokenizer": "add_tokenizer",
    "errors": "BackendError ConvertError FormatError InputError MappingError OptionError OutputError ParityError "
    "PlanError VariantError",
    "model_dir.manifest": "Manifest",
    "models.registry": "families",
    "params": "MAX_ARRAYS ParamsFile TensorInfo open_params save_params",
    "tokenizer": "TokenizerOptions",
    "zoo": "ZooEntry zoo_entries",
    "verification": "ReferenceOptions Report Trace record verify verify_published",
}
_names, __getattr__, __dir__ = import_on_demand(__name__, _PUBLIC)

__all__ = ["__version__", *_names]  # noqa: PLE0604 - all are strings
