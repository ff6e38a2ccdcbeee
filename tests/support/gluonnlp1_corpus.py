"""Checkpoints of GluonNLP 1.0 with the original's outputs, as traces; and MXNet 2's float32 parts on torch's side.

The outputs came from GluonNLP's source on MXNet 2. In its float64 runs the GELU by the error function and the mean are
computed in float32: torch computes both in the same way here, so that the rest is compared sharply.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bort_convert.params import open_params
from bort_convert.verification.provenance import provenance_of
from bort_convert.verification.reference import fit_as_converted
from bort_convert.verification.trace import Trace, output_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.model_dir.read import ModelDir

FAMILIES = {"bert": "bert-1.0", "roberta": "roberta-1.0", "gpt2": "gpt2-1.0", "xlmr": "xlm-roberta"}
"""Family in the corpus -> name of ours, where they differ."""
HEADS = {"nsp": "next_sentence", "mlm": "mlm_logits", "rtd": "replaced_logits", "pooled": "pooled"}
LAYERS = {"layer": "layer", "group": "layer", "enc": "encoder.layer", "dec": "decoder.layer"}
CAST = np.float32


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of the corpus.

    Attributes:
        path: of the `.params` file.
        description: family, form and config.
        arrays: inputs and outputs by the corpus' names.
    """

    path: Path
    description: Mapping[str, Any]
    arrays: Mapping[str, Array]

    @property
    def family(self) -> str:
        """Name of the family."""
        name = str(self.description["family"])
        return FAMILIES.get(name, name)

    @property
    def options(self) -> dict[str, Any]:
        """Options of a conversion that the file does not show."""
        model = self.description["config"]["MODEL"]
        heads = model.get("ENCODER", model)["num_heads"]
        return {
            "family": self.family,
            "heads": heads,
            **({"layers": model["num_layers"]} if "num_groups" in model else {}),
        }

    @property
    def with_decoder(self) -> bool:
        """True for an encoder and a decoder."""
        return "in_src" in self.arrays

    def inputs(self) -> dict[str, Array]:
        """Inputs by their names in a trace; every valid position is one that the language model reads."""
        arrays = {name: array.astype(np.int64) for name, array in self.arrays.items() if name.startswith("in_")}
        if self.with_decoder:
            names = {"in_src": "input_ids", "in_src_valid": "valid_length"}
            names |= {"in_tgt": "decoder_input_ids", "in_tgt_valid": "decoder_valid_length"}
        else:
            names = {"in_ids": "input_ids", "in_valid": "valid_length"}
            if "num_token_types" in self.description["config"]["MODEL"]:
                names["in_types"] = "token_types"
        inputs = {names[name]: array for name, array in arrays.items() if name in names}
        ids = inputs["input_ids"]
        inputs.setdefault("valid_length", np.full(len(ids), ids.shape[1]))  # GPT-2 masks no padding
        if {"mlm", "logits"} & self.arrays.keys() and self.description["form"] not in {"classifier", "qa"}:
            length = inputs["decoder_valid_length" if self.with_decoder else "valid_length"]
            read = np.arange(inputs.get("decoder_input_ids", ids).shape[1])
            inputs["masked_positions"] = np.minimum(read, length[:, None] - 1)
        return inputs

    def logits(self) -> Array:
        """Logits of the next token at every position, (batch, length, vocab_size).

        T5's inference takes its last hidden states times the embedding, without the factor that transformers knows.
        """
        if "logits" in self.arrays:
            return self.arrays["logits"]
        with open_params(self.path) as params:
            product: Array = self.arrays["hidden"] @ params["input_embedding_layer.weight"].T.astype(np.float64)
        return product

    def trace(self, directory: ModelDir) -> Trace:
        """The outputs at every layer and head.

        Args:
            directory: the conversion.
        """
        inputs, fit = self.inputs(), fit_as_converted(self.path, directory.conversion)
        outputs: dict[str, dict[str, Array]] = {"float64": {}, "float32": {}}
        for name, array in self.arrays.items():
            if name.startswith("in_"):
                continue
            dtype, ours = array.dtype.name, self.output(re.sub("_?32$", "", name))
            if ours is not None:
                outputs[dtype][ours] = self.read(ours, array, inputs)
        ordered = {
            dtype: {name: found[name] for name in sorted(found, key=output_order)} for dtype, found in outputs.items()
        }
        if self.family not in {"bert-1.0", "albert"}:  # the pooled output is a token as it is
            for found in ordered.values():
                found.pop("pooled", None)
        return Trace(inputs, ordered, provenance_of(self.path, fit))

    def output(self, name: str) -> str | None:
        """Name in a trace of what the corpus calls so; None for what stands under another name too."""
        form, heads = self.description["form"], dict(HEADS)
        if self.family == "albert":
            heads["nsp"] = "sentence_order"
        if form in {"classifier", "qa"}:
            heads["logits"] = "logits" if form == "classifier" else "span_logits"
        else:
            heads["logits"] = "lm_logits"
        if self.family in {"t5", "mt5"}:
            heads |= {"encoder": "encoder.final_norm", "hidden": "decoder.final_norm"}
        if name in heads:
            return heads[name]
        if name == "final.0":
            return "final_norm"
        widths = self.description["config"]["MODEL"]
        if name == "emb.0" and (
            self.family == "mobilebert" or widths.get("embed_size", widths["units"]) == widths["units"]
        ):
            return "embeddings"
        found = re.fullmatch(r"(layer|group|enc|dec)([0-9]+)\.([0-9]+)", name)
        if found is None or (found[1] != "group" and found[3] != "0"):
            return None
        number = self.call_of_group(int(found[2]), int(found[3])) if found[1] == "group" else int(found[2])
        return f"{LAYERS[found[1]]}.{number}"

    def call_of_group(self, group: int, call: int) -> int:
        """Number of the layer that a call of one of ALBERT's groups stands for."""
        model = self.description["config"]["MODEL"]
        return group * model["num_layers"] // model["num_groups"] + call

    def read(self, name: str, array: Array, inputs: Mapping[str, Array]) -> Array:
        """Logits of every position at those that a trace has; other outputs as they are."""
        if name not in {"mlm_logits", "lm_logits"}:
            return array
        masked = inputs["masked_positions"]
        picked: Array = array[np.arange(len(masked))[:, None], masked]
        return picked


def checkpoint_at(folder: Path, name: str) -> Checkpoint:
    """Read a checkpoint's description and outputs."""
    with np.load(folder / f"{name}.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    return Checkpoint(folder / f"{name}.params", json.loads((folder / f"{name}.json").read_text()), arrays)


class Float32Parts(torch.overrides.TorchFunctionMode):
    """A context in which torch computes in a float64 run what MXNet 2 computes in float32 all the same.

    GELU is 0.5 * x * (1 + erf(x / sqrt(2))) in float32 throughout, with the C library's `erff`. The mean is a sum in
    float64, rounded, over the count, and an array of float32, so that the norm's scale is computed in float32 too.
    """

    def __init__(self) -> None:
        super().__init__()
        library = ctypes.CDLL(ctypes.util.find_library("m"))
        library.erff.restype, library.erff.argtypes = ctypes.c_float, [ctypes.c_float]
        self.erf = np.vectorize(lambda value: library.erff(float(value)), otypes=[CAST])

    def __torch_function__(
        self, func: Callable[..., Any], _types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = {}
    ) -> Any:  # noqa: ANN401 - as torch has it
        is_float64 = bool(args) and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64
        if is_float64 and func is torch.nn.functional.gelu and kwargs.get("approximate", "none") == "none":
            values = args[0].numpy().astype(CAST)
            root = CAST(np.sqrt(2))
            return torch.from_numpy((CAST(0.5) * values * (CAST(1) + self.erf(values / root))).astype(np.float64))
        if is_float64 and func is torch.Tensor.mean:
            total = args[0].sum(*args[1:], **kwargs).numpy().astype(CAST)
            return torch.from_numpy(total / CAST(args[0].shape[-1]))
        if func is torch.rsqrt and args[0].dtype == torch.float32:
            return torch.from_numpy(CAST(1) / np.sqrt(args[0].numpy()))
        return func(*args, **kwargs)
