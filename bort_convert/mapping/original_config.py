"""Read a model's config of GluonNLP 1.0: YAML as yacs writes it, for what names and shapes of a checkpoint do not show.

The reader knows what `CfgNode.dump` writes and no more: mappings within mappings, lists of plain values, one value on a
line. Anchors, tags, flow style and text over several lines are refused.

Source: dmlc/gluon-nlp master at 14553a0c, `get_cfg` of the modules in src/gluonnlp/models; yacs 0.1.8, config.py, dump.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.dtypes import Hyperparameter

MOST_BYTES: Final = 2**16
_LINE: Final = re.compile(r"(?P<indent>(?:  )*)(?P<key>[A-Za-z_]\w*):(?: (?P<value>\S.*))?")
_ITEM: Final = re.compile(r" *- (?P<value>\S.*)")
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+)", re.IGNORECASE)
_WHOLE: Final = re.compile(r"[-+]?\d+")
_PLAIN: Final = re.compile(r"[A-Za-z_][\w ().-]*")
_DEEPEST: Final = 4

# Keys of the original -> names here, of sizes and hyperparameters.
_NAMES: Final = {
    "vocab_size": "vocab_size", "units": "hidden_size", "d_model": "hidden_size", "hidden_size": "intermediate_size",
    "d_ff": "intermediate_size", "embed_size": "embedding_size", "inner_size": "inner_size", "d_kv": "head_dim",
    "max_length": "max_positions", "max_src_length": "max_positions", "max_tgt_length": "max_target_positions",
    "num_heads": "attention_heads", "num_layers": "layers", "num_groups": "groups",
    "num_token_types": "type_vocab_size", "activation": "hidden_act", "layer_norm_eps": "layer_norm_eps",
    "ENCODER.num_layers": "layers", "ENCODER.units": "hidden_size", "ENCODER.hidden_size": "intermediate_size",
    "ENCODER.num_heads": "attention_heads", "ENCODER.activation": "hidden_act",
    "DECODER.num_layers": "decoder_layers", "DECODER.hidden_size": "decoder_intermediate_size",
}  # fmt: skip
_ACTIVATIONS: Final = {"gelu": "gelu", "gelu(erf)": "gelu", "gelu(tanh)": "gelu_new"}
# What every model here has; another value is a model that GluonNLP has too, and no table.
_REQUIRED: Final = {
    "pos_embed_type": "learned", "use_bottleneck": True, "trigram_embed": True, "classifier_activation": False,
    "bottleneck_strategy": "qk_sharing", "normalization": "no_norm", "scale_embed": False, "shared_embed": True,
    "tie_weights": True, "data_norm": True, "ENCODER.pre_norm": False, "DECODER.pre_norm": False,
    "ENCODER.use_qkv_bias": True, "DECODER.use_qkv_bias": True, "ENCODER.recurrent": False, "DECODER.recurrent": False,
}  # fmt: skip
_SCALED: Final = {"generator_units_scale": ("hidden_size", "intermediate_size", "attention_heads")}
_SCALED_LAYERS: Final = {"generator_layers_scale": ("layers",)}


@dataclass(frozen=True)
class OriginalConfig:
    """What a config of GluonNLP 1.0 says.

    Attributes:
        name: name of its file.
        values: sizes and hyperparameters by their names here.
        scales: of an ELECTRA's generator, by the keys of the config.
        foreign: a line for each value that no table is for.
    """

    name: str
    values: Mapping[str, Hyperparameter]
    scales: Mapping[str, float] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()

    def of_generator(self) -> OriginalConfig:
        """The same for the generator of an ELECTRA, whose sizes are fractions of the discriminator's."""
        scaled = dict(self.values)
        for key, names in {**_SCALED, **_SCALED_LAYERS}.items():
            scaled |= {name: round(self.scales.get(key, 1.0) * float(scaled[name])) for name in names if name in scaled}
        return OriginalConfig(self.name, scaled, {}, self.foreign)

    def problems(self, found: Mapping[str, Hyperparameter]) -> list[str]:
        """A line for each value that the sizes and hyperparameters of a checkpoint contradict."""
        return [
            *self.foreign,
            *(
                f"{name} is {printable(repr(value))}, and {found[name]!r} in the file or by what was given"
                for name, value in self.values.items()
                if name in found and found[name] != value
            ),
        ]


def parse_config(name: str, text: str) -> OriginalConfig:
    """Parse the text of a config file.

    Raises:
        FormatError: it is not what yacs writes; the message names the line.
    """
    model = _parse(name, text.splitlines()).get("MODEL")
    if not isinstance(model, dict):
        raise FormatError(f"{name}: has no MODEL; expected a config of GluonNLP 1.0 as yacs writes it")
    flat = dict(_flattened(model))
    values = {ours: flat[theirs] for theirs, ours in _NAMES.items() if theirs in flat}
    if "hidden_act" in values:
        values["hidden_act"] = _ACTIVATIONS.get(str(values["hidden_act"]), values["hidden_act"])
    if "num_stacked_ffn" in flat:
        values["ffns"] = int(flat["num_stacked_ffn"]) - 1
    scales = {key: float(flat[key]) for key in {**_SCALED, **_SCALED_LAYERS} if key in flat}
    foreign = [
        f"{key} is {printable(repr(flat[key]))}, expected {expected!r}: no table is for such a model"
        for key, expected in _REQUIRED.items()
        if key in flat and flat[key] != expected
    ]
    if flat.get("DECODER.num_heads", flat.get("ENCODER.num_heads")) != flat.get("ENCODER.num_heads"):
        foreign.append("encoder and decoder have different numbers of attention heads: no table is for such a model")
    return OriginalConfig(name, values, scales, tuple(foreign))


def _flattened(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{path}{key}.")
        else:
            yield path + key, value


def _parse(name: str, lines: Iterable[str]) -> dict[str, Any]:
    """The mappings of a document; lists hold nothing that is needed, and are checked and left out."""
    root: dict[str, Any] = {}
    nodes = [root]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if item := _ITEM.fullmatch(line):
            _scalar(name, number, item["value"])
            continue
        found = _LINE.fullmatch(line)
        depth = len(found["indent"]) // 2 if found else len(nodes)
        if found is None or depth >= min(len(nodes), _DEEPEST) or found["key"] in nodes[depth]:
            raise _unreadable(name, number, line)
        del nodes[depth + 1 :]
        if found["value"] is None:
            child: dict[str, Any] = {}
            nodes[depth][found["key"]] = child
            nodes.append(child)
        elif found["value"] != "[]":
            nodes[depth][found["key"]] = _scalar(name, number, found["value"])
    return root


def _scalar(name: str, number: int, text: str) -> Hyperparameter | None:
    """A plain value: a number, a truth value, null or a word."""
    constants = {"true": True, "false": False, "null": None}
    if text in constants:
        return constants[text]
    if _NUMBER.fullmatch(text):
        return int(text) if _WHOLE.fullmatch(text) else float(text)
    quoted = text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text
    if not _PLAIN.fullmatch(quoted) and quoted:
        raise _unreadable(name, number, text)
    return quoted


def _unreadable(name: str, number: int, line: str) -> FormatError:
    return FormatError(f"{name}: line {number}: {printable(line)!r} is not what yacs writes; expected `key: value`")
