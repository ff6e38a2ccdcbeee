"""Load the transformers model of a directory and run it, every layer kept. Beside it only `agora` imports torch."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from bort_convert.errors import BackendError, FormatError, ParityError, install_hint
from bort_convert.models.registry import families
from bort_convert.verification.torch_hooks import trained_row
from bort_convert.verification.torch_modules import (
    Model,
    clamp_distances,
    embeddings_norm,
    epsilon_of,
    head_norm,
    head_outputs,
    head_transform,
    leave_decoder_unscaled,
)
from bort_convert.verification.torch_stacks import run_stacks
from bort_convert.verification.trace import input_of, is_attention, stacks_of

try:
    import torch
    import transformers
    from transformers.activations import ACT2FN
except ImportError as missing:
    raise BackendError(f"this step needs torch and transformers ({missing}): {install_hint('torch')}") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bort_convert.dtypes import Array, Hyperparameter
    from bort_convert.model_dir.read import ModelDir


def load_pretrained(directory: ModelDir, **kwargs: Any) -> Model:  # noqa: ANN401 - transformers decides
    """Load the transformers model of a directory in evaluation mode and apply its module overrides.

    `BertConfig` has one LayerNorm epsilon and one activation for the whole model, where GluonNLP's may have others in
    the masked-language-model head and after the embeddings; conversion.json has them.

    Args:
        directory: a converted directory; its config.json names the class.
        kwargs: for `from_pretrained`, such as `dtype` or `attn_implementation`.

    Raises:
        FormatError: the directory has no readable config.json, or one that names no class of transformers.
        ParityError: tensors are missing, unexpected or of another shape: their names.
    """
    target_class, options = _class_of(directory)
    arguments = {
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,
        "use_safetensors": True,
        **options,
        **kwargs,
    }
    with quiet(), _failing_as(f"{directory.path}: transformers cannot load it"):
        model, info = target_class.from_pretrained(str(directory.path), local_files_only=True, **arguments)
    kinds = {"missing": "missing_keys", "unexpected": "unexpected_keys", "of another shape": "mismatched_keys"}
    problems = [
        f"{kind}: {', '.join(sorted(str(key if isinstance(key, str) else key[0]) for key in info[found]))}"
        for kind, found in kinds.items()
        if info[found]
    ]
    if problems:
        raise ParityError(
            f"{directory.path}: the tensors are not those of {target_class.__name__}; {'; '.join(problems)}"
        )
    leave_decoder_unscaled(model)
    apply_module_overrides(model, directory.module_overrides)
    return model.eval()


def apply_module_overrides(model: Model, overrides: Mapping[str, Hyperparameter], *, as_float32: bool = False) -> int:
    """Set all epsilons, the head's activation and the clamp length, from the overrides or else from the config.

    Args:
        model: the target model.
        overrides: see `mapping.family.module_overrides`; without any the model is as its class makes it.
        as_float32: round epsilons to float32 first, as MXNet stores them in any precision.

    Returns:
        The number of its LayerNorms; T5 has others, whose epsilon MXNet does not round.

    Raises:
        FormatError: transformers has no such activation.
    """
    norms = {"head_layer_norm_eps": head_norm(model), "embedding_layer_norm_eps": embeddings_norm(model)}
    special = {id(norm): overrides[name] for name, norm in norms.items() if name in overrides}
    layer_norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    for module in layer_norms:
        epsilon = float(special.get(id(module), epsilon_of(model)))
        module.eps = float(np.float32(epsilon)) if as_float32 else epsilon
    if (transform := head_transform(model)) is not None:
        name = overrides.get("head_hidden_act", model.config.hidden_act)
        if name not in ACT2FN:
            raise FormatError(f"conversion.json: head_hidden_act is {name!r}, which transformers has not")
        transform.transform_act_fn = ACT2FN[name]
    clamp_len = overrides.get("clamp_len")
    clamp_distances(model, None if clamp_len is None else int(clamp_len))
    return len(layer_norms)


def state_shapes(directory: ModelDir) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and first name of every tensor of the model that config.json describes; a tied one has several names.

    The model is built on torch's `meta` device, which allocates no values.

    Raises:
        FormatError: config.json names no class of transformers.
        ParityError: transformers cannot build the model.
    """
    target_class, options = _class_of(directory)
    with _failing_as(f"{directory.path}/config.json: transformers cannot build it"), torch.device("meta"):
        model = target_class(
            target_class.config_class.from_pretrained(str(directory.path), local_files_only=True), **options
        )
    first: dict[int, str] = {}
    named = model.state_dict(keep_vars=True)  # Bart has a buffer among its tensors
    return {name: (tuple(values.shape), first.setdefault(id(values), name)) for name, values in named.items()}


def load_model(directory: ModelDir, dtype: str, *, device: str = "cpu", attentions: bool = False) -> Model:
    """Load the target model in float32 or float64 on a device; `attentions` needs the eager implementation.

    Raises:
        BackendError: the device is "cuda" and torch has none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise BackendError("torch sees no CUDA device here; choose `device='cpu'`")
    kwargs = {"attn_implementation": "eager"} if attentions else {}
    return load_pretrained(directory, **kwargs).to(device=device, dtype=getattr(torch, dtype))


def run_model(
    model: Model,
    inputs: Mapping[str, Array],
    *,
    attentions: bool = False,
    feed: Mapping[str, Array] | None = None,
    stock_positions: bool = False,
    stock_precision: bool = False,
) -> dict[str, Array]:
    """Run a model and keep every output, by the names of a trace.

    Args:
        model: from `load_model`.
        inputs: of a trace.
        attentions: keep attention probabilities; the model must have been loaded for it.
        feed: outputs of the reference, for a per-layer comparison: every layer and head gets the reference's input.
        stock_positions: leave the positions to the class, instead of counting every token as GluonNLP does and
            computing sinusoids in the model's precision.
        stock_precision: let the class compute in float32 what it casts to float32 in a float64 model.

    Raises:
        ParityError: the model has fewer positions than the inputs, or cannot run them.
    """
    with torch.no_grad():
        found = _outputs(
            model,
            inputs,
            attentions=attentions,
            feed=feed,
            stock_positions=stock_positions,
            stock_precision=stock_precision,
        )
    return {name: values.cpu().numpy() for name, values in found.items()}


def run_gradients(
    model: Model,
    inputs: Mapping[str, Array],
    cotangents: Mapping[str, Array],
    *,
    trained: int | None = None,
    erf_slope: float | None = None,
) -> dict[tuple[str, ...], Array]:
    """Run a model backwards: gradients of the sum over all outputs of <cotangent, output>.

    Args:
        model: from `load_model`.
        inputs: of a trace.
        cotangents: output -> array of its shape. Attention probabilities need a model that was loaded for them.
        trained: row of the embeddings that is trained even where the class freezes it; None for none.
        erf_slope: derivative of erf at 0 for the exact GELU; None for torch's own.

    Returns:
        All names of a parameter (a tied one has several) -> its gradient. Unused parameters are absent.

    Raises:
        ParityError: the model cannot run the inputs, or has no such output.
    """
    attentions = any(is_attention(name) for name in cotangents)
    with torch.enable_grad(), trained_row(model, trained), ExitStack() as modes:
        if erf_slope is not None:
            modes.enter_context(_ErfSlope(erf_slope))
        found = _outputs(model, inputs, attentions=attentions)
    if missing := sorted(cotangents.keys() - found.keys()):
        raise ParityError(f"the model has no output {', '.join(missing)}")
    outputs = {name: found[name] for name in cotangents if found[name].requires_grad}
    parameters = [values for values in model.parameters() if values.requires_grad]
    if not outputs or not parameters:
        return {}
    seeds = [_tensor(cotangents[name], model) for name in outputs]
    gradients = torch.autograd.grad(list(outputs.values()), parameters, seeds, allow_unused=True)
    names: dict[int, list[str]] = {}
    for name, values in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(values), []).append(name)
    pairs = zip(parameters, gradients, strict=True)
    return {tuple(names[id(values)]): array.cpu().numpy() for values, array in pairs if array is not None}


def run_head(model: Model, last: Array, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Run the heads alone on a last hidden state (batch, length, hidden_size)."""
    with torch.no_grad():
        found = head_outputs(model, _tensor(last, model), inputs)
    return {name: values.cpu().numpy() for name, values in found.items()}


def run_target(directory: ModelDir, inputs: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    """Load a directory and run it once, with epsilons as MXNet stores them; see `load_model` and `run_model`."""
    model = load_model(directory, dtype)
    apply_module_overrides(model, directory.module_overrides, as_float32=True)
    return run_model(model, inputs)


def encode(path: Path, sentences: Sequence[str], positions: int | None) -> list[list[int]]:
    """Tokenize sentences to ids, special tokens included, each at most as long as the model.

    Raises:
        FormatError: the tokenizer cannot be loaded.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(path), local_files_only=True)
        rows = tokenizer(list(sentences), truncation=positions is not None, max_length=positions)["input_ids"]
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise FormatError(f"{path}: the tokenizer cannot be loaded: {_first_line(error)}") from error
    return [list(row) for row in rows]


def load_stock(directory: ModelDir, auto_class: str, dtype: str, *, device: str = "cpu") -> Model:
    """Load a directory as a user does, through an `AutoModel...` class, and set nothing but the precision.

    Raises:
        ParityError: transformers cannot load it so.
    """
    options = {"add_pooling_layer": False} if directory.conversion.lacks_pooler else {}
    with quiet(), _failing_as(f"transformers.{auto_class} cannot load it"):
        model = getattr(transformers, auto_class).from_pretrained(
            str(directory.path), local_files_only=True, dtype=getattr(torch, dtype), **options
        )
    return model.eval().to(device=device, dtype=getattr(torch, dtype))  # some classes keep a tensor in float32


def call_stock(model: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Call a model as a user does, with arrays by the names of its arguments; give its outputs by their names.

    Raises:
        ParityError: the model cannot run them.
    """
    tensors = {name: torch.from_numpy(np.array(values)).to(model.device) for name, values in inputs.items()}
    with torch.no_grad(), _failing_as("transformers cannot run it"):
        found = model(**tensors, output_hidden_states=True)
    last = {"last_hidden": found.hidden_states[-1]} if "hidden_states" in found else {}
    if not last:
        last = {
            "encoder.last_hidden": found.encoder_hidden_states[-1],
            "decoder.last_hidden": found.decoder_hidden_states[-1],
        }
    arrays = {name: values for name, values in found.items() if isinstance(values, torch.Tensor)}
    return {name: values.cpu().numpy() for name, values in {**arrays, **last}.items()}


def load_tokenizer(path: Path) -> Any:  # noqa: ANN401 - transformers has no types here
    """Load the tokenizer of a directory as a user does.

    Raises:
        ParityError: transformers cannot load it.
    """
    with quiet(), _failing_as("transformers.AutoTokenizer cannot load it"):
        return transformers.AutoTokenizer.from_pretrained(str(path), local_files_only=True)


def versions() -> dict[str, str]:
    """Versions of torch and transformers."""
    return {"torch": str(torch.__version__), "transformers": str(transformers.__version__)}


def _class_of(directory: ModelDir) -> tuple[Any, dict[str, Any]]:
    """The class that config.json names, and the arguments of its constructor: a pooler, or none."""
    names = directory.config.get("architectures") or [None]
    target_class = getattr(transformers, str(names[0]), None)
    if not (isinstance(target_class, type) and issubclass(target_class, transformers.PreTrainedModel)):
        raise FormatError(
            f"{directory.path}/config.json: architectures is {names}, expected a model class of transformers"
        )
    poolable = {family.base_class for family in families().values() if family.pooler}
    return target_class, {"add_pooling_layer": directory.has_pooler} if names[0] in poolable else {}


class _Float64Throughout(torch.overrides.TorchFunctionMode):
    """A context in which values of float64 stay so where a class casts them to float32, as T5's norm does."""

    def __torch_function__(
        self, func: Callable[..., object], _types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = {}
    ) -> object:
        is_cast = func is torch.Tensor.float or (
            func is torch.Tensor.to and torch.float32 in {*args[1:], *kwargs.values()}
        )
        if is_cast and args[0].dtype == torch.float64:
            return args[0]
        return func(*args, **kwargs)


class _ErfSlope(torch.overrides.TorchFunctionMode):
    """A context in which the exact GELU runs backwards with another derivative of erf at 0. Values stay the same."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.scale = slope * math.sqrt(math.pi) / 2

    def __torch_function__(
        self, func: Callable[..., object], _types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = {}
    ) -> object:
        if func is not torch.nn.functional.gelu or kwargs.get("approximate", "none") != "none":
            return func(*args, **kwargs)
        (values,) = args
        erf = torch.erf(values / math.sqrt(2))
        scaled = self.scale * erf
        return 0.5 * values * (1 + scaled + (erf - scaled).detach())


def _outputs(
    model: Model,
    inputs: Mapping[str, Array],
    *,
    attentions: bool,
    feed: Mapping[str, Array] | None = None,
    stock_positions: bool = False,
    stock_precision: bool = False,
) -> dict[str, torch.Tensor]:
    """Run a model and keep every output as a tensor, recorded for a backward pass if torch records; see `run_model`."""
    names = [input_of(stack, name) for stack in stacks_of(inputs) for name in ("input_ids", "valid_length")]
    names += ["token_types"] if "token_types" in inputs else []
    arrays = {name: torch.from_numpy(np.array(inputs[name])).to(model.device) for name in names}
    fed = None if feed is None else {name: _tensor(values, model) for name, values in feed.items()}
    with _failing_as("transformers cannot run it"), nullcontext() if stock_precision else _Float64Throughout():
        return run_stacks(
            model,
            arrays,
            inputs,
            attentions=attentions,
            feed=fed,
            stock_positions=stock_positions,
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and tables of transformers; our errors have their contents."""
    logging: Any = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _failing_as(text: str) -> Iterator[None]:
    """Turn every error into a ParityError; a config can make transformers fail in any way."""
    try:
        yield
    except Exception as error:
        raise ParityError(f"{text}: {_first_line(error)}") from error


def _tensor(values: Array, model: Model) -> torch.Tensor:
    return torch.from_numpy(np.array(values)).to(device=model.device, dtype=model.dtype)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
