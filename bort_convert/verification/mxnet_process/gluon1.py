# ruff: noqa: PLC0415, SLF001 - mxnet is there when a model is built; some networks have names that begin with "_"
"""Models of GluonNLP 1.0, which compute with MXNet's NumPy interface: the original classes, built from their configs.

They come from GluonNLP 1.0's own source, on MXNet 2, or from autogluon-contrib-nlp, which has some for MXNet 1.9.

On MXNet 2 two of their parts compute in float32 whatever the precision: GELU by the error function, and the mean, which
RMSNorm takes. Both are replaced in a run in float64, unless it is to be `as_is`. So is the masked softmax, for its
derivative, which is of float32 too; that of MXNet 1.9's `where`, which the older package takes, is wrong.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models and layers.py, GELU and RMSNorm; scripts/
text_classification/classification_utils.py and question_answering/models.py; autogluon-contrib-nlp 0.0.1b20220208.
"""

import builtins
import importlib
import importlib.util
import math
import os
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

OLDER = "autogluon_contrib_nlp"
"""The package of the index; it has encoders alone, and RoBERTa with older names."""
ACTIVATIONS = {"gelu_new": "gelu(tanh)"}  # the other names are the same
CLASSES = {
    "bert": "Bert",
    "roberta": "Roberta",
    "xlm-roberta": "XLMR",
    "electra": "Electra",
    "albert": "Albert",
    "mobilebert": "MobileBert",
    "gpt2": "GPT2",
    "bart": "Bart",
    "t5": "T5",
    "mt5": "MT5",
}
"""Family -> beginning of its classes' names."""
WITHOUT_POOLER = ("gpt2", "t5", "mt5")
FORMS = {
    "nsp_classifier": "ForPretrain",
    "sop_classifier": "ForPretrain",
    "rtd_encoder": "Discriminator",
    "mlm_decoder": "ForMLM",
    "_lm_head": "ForLM",
}
"""Part that only one form of a model has -> end of the name of its class, the first one that is there."""
SIZES = {
    "vocab_size": "vocab_size",
    "units": "hidden_size",
    "hidden_size": "intermediate_size",
    "num_layers": "layers",
    "num_heads": "attention_heads",
    "max_length": "max_positions",
    "num_token_types": "type_vocab_size",
    "embed_size": "embedding_size",
    "num_groups": "groups",
    "inner_size": "inner_size",
    "layer_norm_eps": "layer_norm_eps",
    "d_model": "hidden_size",
    "d_ff": "intermediate_size",
    "d_kv": "head_dim",
    "max_src_length": "max_positions",
    "max_tgt_length": "max_target_positions",
}
"""Key of a config -> name of a size or hyperparameter in a job; a config has some of the keys."""
OF_DECODER = {"num_layers": "decoder_layers", "hidden_size": "decoder_intermediate_size"}
ADVICE = (
    "pass `mxnet_python`, an interpreter that has MXNet 2, and `gluonnlp`, the folder `src` of GluonNLP 1.0's source"
)
HIDDEN = 1e18  # taken from the score of a token that is not to be seen
replaced = []  # type: list[str]
exactly = {"as_is": False}
"""Whether the parts that compute in float32 stay as they are."""


def load_frameworks(folder: "str | None") -> "dict[str, str]":
    """Import mxnet and the package with the models; give their versions.

    Args:
        folder: holds GluonNLP 1.0's `gluonnlp`; None for a package that is installed.
    """
    import numpy as np

    for name in {"bool", "object", "float", "int"} - set(vars(np)):
        setattr(np, name, getattr(builtins, name))  # mxnet needs them
    if folder is not None:
        if not os.path.isdir(os.path.join(folder, "gluonnlp")):  # noqa: PTH112, PTH118 - Python 3.6 syntax
            raise ValueError(f"{folder}: holds no gluonnlp; expected the folder `src` of GluonNLP 1.0's source")
        sys.path.insert(0, folder)
    import mxnet as mx

    mx.npx.set_np()
    for name in ("gluonnlp.torch", "fasttext"):  # imported with the models, and not used by them
        sys.modules.setdefault(name, types.ModuleType(name))
    package = models_package(folder)
    older = package.__name__ == OLDER
    if older != mx.__version__.startswith("1."):
        needed = "MXNet 1.9" if older else "MXNet 2"
        raise ValueError(
            f"{package.__name__} {package.__version__} needs {needed}, and mxnet {mx.__version__} is there"
        )
    if not replaced:  # a process may do several jobs
        replaced.append(package.__name__)
        replace_softmax(package.attention_cell, mx)
        if not older:
            replace_float32_parts(package.layers, mx)
    named = package.__version__ if package.__name__ == "gluonnlp" else f"{package.__name__} {package.__version__}"
    return {"mxnet": mx.__version__, "gluonnlp": named, "numpy": np.__version__}


def models_package(folder: "str | None") -> "Any":  # noqa: ANN401 - a module
    """GluonNLP 1.0, or the package of the index where none is named and it is installed."""
    for name in ("gluonnlp",) if folder is not None else (OLDER, "gluonnlp"):
        if importlib.util.find_spec(name) is not None:
            package = importlib.import_module(name)
            if name == OLDER or str(package.__version__).startswith("1."):
                return package
    raise ImportError(
        "neither gluonnlp 1.0 nor autogluon-contrib-nlp, which have the models of GluonNLP 1.0 (0.x has others)"
    )


def replace_float32_parts(layers: "Any", mx: "Any") -> None:  # noqa: ANN401 - modules
    """Give GELU and RMSNorm a `forward` that computes in the precision of its input."""
    gelu, norm = layers.GELU.forward, layers.RMSNorm.forward

    def exact_gelu(block: "Any", values: "Any") -> "Any":  # noqa: ANN401 - mxnet has no types
        if exactly["as_is"] or block._mode != "erf" or not is_float64(values):
            return gelu(block, values)
        return 0.5 * values * (1 + mx.npx.erf(values / math.sqrt(2)))

    def exact_norm(block: "Any", values: "Any") -> "Any":  # noqa: ANN401
        if exactly["as_is"] or not is_float64(values):
            return norm(block, values)
        mean = (values * values).sum(axis=-1, keepdims=True) / values.shape[-1]
        return values / mx.np.sqrt(mean + block._epsilon) * block.gamma.data() + block.beta.data()

    layers.GELU.forward, layers.RMSNorm.forward = exact_gelu, exact_norm


def replace_softmax(attention: "Any", mx: "Any") -> None:  # noqa: ANN401 - modules
    """Give attention a masked softmax whose derivative is right."""
    original, newer = attention.masked_softmax, not attention.__name__.startswith(OLDER)

    def exact_softmax(*arguments: "Any", **options: "Any") -> "Any":  # noqa: ANN401 - mxnet has no types
        scores, mask = arguments[-2:]  # in the older package another one stands before them
        right = newer and not is_float64(scores)
        if exactly["as_is"] or mask is None or right:
            return original(*arguments, **options)
        mask, scores = mask.astype(scores.dtype), scores / (options.get("temperature") or 1.0)
        return mx.npx.softmax(scores * mask - HIDDEN * (1 - mask), axis=-1) * mask

    attention.masked_softmax = exact_softmax


def is_float64(values: "Any") -> bool:  # noqa: ANN401 - mxnet has no types
    """True of an array of float64, whose dtype is a name or a type, by the release of mxnet."""
    import numpy as np

    return bool(np.dtype(values.dtype) == np.float64)


class Network:
    """The model of the job's structural names, which tell its form."""

    def __init__(self, job: "dict[str, Any]") -> None:
        import mxnet as mx

        self.kind, self.backwards = job["family"].replace("-1.0", ""), job["gradients"]
        self.names, self.sizes = set(job["names"].values()), dict(job["dims"], **job["hyperparameters"])
        parts = {name.split(".")[0] for name in self.names}
        self.package = models_package(job["gluonnlp"])
        form = next((end for part, end in FORMS.items() if part in parts), "")
        self.form = "Generator" if self.kind == "electra" and form == "ForMLM" else form
        model_class = self.find(CLASSES[self.kind] + "Model")
        older, dtype = self.package.__name__ == OLDER, job.get("dtype", "float32")
        if older and self.form == "Generator":
            raise ValueError(f"{OLDER} builds no generator without a discriminator: {ADVICE}")
        config = self.config(model_class, "float32" if older else dtype)
        if self.form:
            self.block = self.find(CLASSES[self.kind] + self.form)(config)
            self.backbone = self.block._backbone_model if self.kind == "gpt2" else self.block.backbone_model
        else:
            has_pooler = any(f".{name}".rsplit(".", 1)[0].endswith(".pooler") for name in self.names)
            options = {} if self.kind in WITHOUT_POOLER else {"use_pooler": has_pooler or self.kind == "mobilebert"}
            if older and self.kind == "roberta":
                options["use_mlm"] = any(name.startswith("lm_head.") for name in self.names)
            self.block = self.backbone = model_class.from_cfg(config, **options)
        self.head = None
        if "backbone" in parts:
            name, units = ("out_proj", job["dims"].get("labels")) if "out_proj" in parts else ("qa_outputs", 2)
            self.head = mx.gluon.nn.Dense(units, in_units=self.sizes["hidden_size"], flatten=False)
            self.block = mx.gluon.Block()
            self.block.backbone = self.backbone
            setattr(self.block, name, self.head)
        if older:  # its heads are of float32 until they are cast, and their masks stay so
            self.block.apply(lambda block: set_dtype(block, dtype))
        self.block.hybridize(active=False)  # for hooks

    @property
    def replaced_parts(self) -> "list[str]":
        """Parts that MXNet computes in float32 whatever the precision, or wrongly, and that are replaced."""
        newer = self.package.__name__ != OLDER
        parts = {
            "the erf GELU in float32": newer and self.sizes.get("hidden_act") == "gelu",
            "the mean in RMSNorm in float32": newer and self.kind in ("t5", "mt5"),
            "the derivative of masked softmax in float32": newer and self.backwards,
            "the derivative of where wrongly": not newer and self.backwards,
        }
        return [name for name, is_replaced in parts.items() if is_replaced]

    def compute_as_is(self, *, as_is: bool) -> None:
        """Leave those parts as they are, or replace them."""
        exactly["as_is"] = as_is

    def find(self, name: str) -> "Any":  # noqa: ANN401 - a class
        """The class of a model, in whichever module of the package it stands."""
        modules = vars(importlib.import_module(self.package.__name__ + ".models")).values()
        for module in modules:
            if isinstance(module, types.ModuleType) and name in vars(module):
                return getattr(module, name)
        raise ValueError(f"{self.package.__name__} has no {name}: {ADVICE}")

    def config(self, model_class: "Any", dtype: str) -> "Any":  # noqa: ANN401 - yacs has no types
        """The config of a published model with the job's sizes."""
        config = model_class.get_cfg().clone()
        config.defrost()
        for group in (config.MODEL, *(config.MODEL[name] for name in ("ENCODER", "DECODER") if name in config.MODEL)):
            sizes = dict(SIZES, **OF_DECODER) if group is config.MODEL.get("DECODER") else SIZES
            for key in list(group):
                if sizes.get(key) in self.sizes:
                    group[key] = self.sizes[sizes[key]]
            if "activation" in group:
                group.activation = self.activation()
            if "num_stacked_ffn" in group:
                group.num_stacked_ffn = self.sizes["ffns"] + 1
        config.MODEL.dtype = dtype
        config.freeze()
        return config

    def activation(self) -> str:
        """The activation by its name in GluonNLP 1.0; in T5 and mT5 it belongs to the model."""
        gated = {"t5": "relu", "mt5": "gated-gelu"}
        activation = gated.get(self.kind) or self.sizes["hidden_act"]
        return str(ACTIVATIONS.get(activation, activation))

    def watched(self, *, attentions: bool) -> "list[tuple[str, Any, Any]]":
        """Embeddings, layers in the order of their calls, norms and attention cells."""
        model, probabilities = self.backbone, (1, 1)
        if self.kind in ("t5", "mt5", "bart"):
            return watched_stacks(model, attentions=attentions)
        if self.kind == "gpt2":
            found, layers = [("embeddings", model._embed_dropout, 0)], list(model._layers)
            cells = [layer.atten.attention_cell for layer in layers]
            found.append(("final_norm", model._final_ln, 0))
        else:
            found = [("embeddings", first_of(model, "embed_factorized_proj", "embed_layer_norm", "embed_ln"), 0)]
            if self.kind == "mobilebert":
                found = [("embeddings", model.embed_layer_norm, 0)]
            blocks = list(first_of(model.encoder, "all_layers", "all_encoder_layers", "all_encoder_groups"))
            layers = [blocks[number * len(blocks) // self.sizes["layers"]] for number in range(self.sizes["layers"])]
            cells = [layer.attention_cell for layer in layers]
        found += [(f"layer.{number}", layer, 0) for number, layer in enumerate(layers)]
        return found + [(f"attention.{n}", cell, probabilities) for n, cell in enumerate(cells) if attentions]

    def forward(self, inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
        """The pooled output (batch, hidden_size) where there is a pooler, and the logits of each head."""
        import mxnet as mx
        import numpy as np

        ids = np.asarray(inputs["input_ids"])
        defaults = {"token_types": np.zeros_like(ids), "masked_positions": np.zeros((len(ids), 1))}
        arrays = {name: mx.np.array(values, dtype="int32") for name, values in dict(defaults, **inputs).items()}
        read = np.asarray(inputs.get("masked_positions", defaults["masked_positions"]))
        rows = mx.np.array(np.broadcast_to(np.arange(len(ids))[:, None], read.shape), dtype="int32")
        masked = (rows, arrays["masked_positions"])
        self.reads_positions = "masked_positions" in inputs
        if self.kind in ("t5", "mt5", "bart"):
            return self.forward_stacks(arrays, masked)
        if self.kind == "gpt2":
            states = self.backbone.init_states(len(ids), mx.cpu(), dtype=dtype)
            found, _ = self.block(arrays["input_ids"], states)
            return {"lm_logits": found[masked]} if self.form else {}
        arguments = [arrays["input_ids"], arrays["token_types"], arrays["valid_length"]]
        if "roberta" in self.kind:
            del arguments[1]
        if self.form in ("ForMLM", "ForPretrain", "Generator"):
            arguments.append(arrays["masked_positions"])
        found = (self.block if self.head is None else self.backbone)(*arguments)
        return self.named_heads(list(found) if isinstance(found, (list, tuple)) else [found], masked)

    def named_heads(self, found: "list[Any]", masked: "Any") -> "dict[str, Any]":  # noqa: ANN401 - indices
        """What an encoder returns, by names of a trace: hidden states, first token or pooled output, heads."""
        if self.head is not None and "qa_outputs.weight" in self.names:
            return {"span_logits": self.head(found[0])}
        if "lm_head.dense1.weight" in self.names:  # the older RoBERTa, which returns its logits alone
            return {"mlm_logits": found[0][masked]}
        outputs = {}
        if any("pooler.weight" in name for name in self.names):
            outputs["pooled"] = found[1]
        if self.head is not None:
            outputs["logits"] = self.head(found[1])
        sentence = "sentence_order" if self.kind == "albert" else "next_sentence"
        heads = {
            "ForMLM": ["mlm_logits"],
            "Generator": ["mlm_logits"],
            "Discriminator": ["replaced_logits"],
            "ForPretrain": [sentence, "mlm_logits"],
        }
        return dict(outputs, **dict(zip(heads.get(self.form, []), found[2:])))  # noqa: B905 - Python 3.6

    def forward_stacks(self, arrays: "dict[str, Any]", masked: "Any") -> "dict[str, Any]":  # noqa: ANN401 - indices
        """Run encoder and decoder; give the logits of the next token where positions for them are given."""
        import mxnet as mx

        target = arrays.get("decoder_input_ids", arrays["input_ids"])
        length = arrays.get("decoder_valid_length", arrays["valid_length"])
        found = self.block(arrays["input_ids"], arrays["valid_length"], target, length)
        if not self.reads_positions:
            return {}
        if self.kind == "bart":
            return {"lm_logits": found[masked]}
        # As T5Inference does, whose output layer is the embedding.
        return {"lm_logits": mx.np.dot(found[masked], self.backbone.input_embedding_layer.weight.data().T)}


def set_dtype(block: "Any", dtype: str) -> None:  # noqa: ANN401 - a block
    """Have a block make masks in another precision."""
    for name in ("_dtype", "dtype"):
        if isinstance(getattr(block, name, None), str):
            setattr(block, name, dtype)


def watched_stacks(model: "Any", *, attentions: bool) -> "list[tuple[str, Any, Any]]":  # noqa: ANN401 - a block
    """Blocks of an encoder and a decoder whose outputs are kept."""
    found = []  # type: list[tuple[str, Any, Any]]
    probabilities = (1, 1)
    cells = {"encoder": {"attention": ("attention_cell", "self_attn")}}
    cells["decoder"] = {
        "attention": ("self_attention", "self_attn"),
        "cross_attention": ("inter_attention", "cross_attn"),
    }
    for stack, kinds in cells.items():
        part = getattr(model, stack)
        embeddings = part.ln_data if hasattr(part, "ln_data") else model.input_embedding_layer
        found.append((stack + ".embeddings", embeddings, 0))
        if hasattr(part, "final_layer_norm"):
            found.append((stack + ".final_norm", part.final_layer_norm, 0))
        for number, layer in enumerate(part.layers):
            found.append((f"{stack}.layer.{number}", layer, 0))
            for kind, names in kinds.items() if attentions else ():
                found.append((f"{stack}.{kind}.{number}", first_of(layer, *names), probabilities))
    return found


def first_of(block: "Any", *names: str) -> "Any":  # noqa: ANN401 - a block
    """The first attribute that a block has."""
    return getattr(block, next(name for name in names if hasattr(block, name)))
