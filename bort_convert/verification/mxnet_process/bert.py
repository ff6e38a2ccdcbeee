# ruff: noqa: PLC0415 - mxnet is there when a model is built; Python 3.6 syntax
"""BERT, RoBERTa, Bort and their kin: gluonnlp's own BERTModel, with the head of a fine-tuned model if there is one.

Versions from 0.9 on take fewer arguments, and compute attention by kernels of MXNet that exist in float32 alone.

Source: dmlc/gluon-nlp v0.8.3 and v0.10.0, model/bert.py and scripts/bert/model; alexa/bort, bort/bort.py.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

OUTPUTS = {"pooler": "pooled", "classifier": "next_sentence", "decoder": "mlm_logits"}
"""Parts of a BERTModel, in the order in which it returns their outputs, with the names of these in a trace."""


class Network:
    """The model of the job's structural names, which tell its parts."""

    def __init__(self, job: "dict[str, Any]") -> None:
        import gluonnlp
        import mxnet as mx

        self.length_first = not gluonnlp.__version__.startswith("0.8.")
        self.dtypes = ["float32"] if self.length_first else ["float32", "float64"]
        names, prefix = sorted(job["names"].values()), job["family"] + "."
        if not any(name.startswith(prefix) for name in names):
            prefix = ""  # the backbone alone, which stands at the top
        parts = {name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)}
        self.model = self.build_model(job, parts)
        self.call = gluonnlp.model.bert.BERTModel.__call__  # DistilBERT's takes fewer arguments and fills these in
        self.head, self.spans = None, False  # type: Any, bool
        self.block = self.model
        head_names = [name for name in names if not name.startswith(prefix)]
        if head_names:
            head_part = head_names[0].split(".")[0]
            self.head, self.spans = build_head(head_names, job["dims"]), head_part == "span_classifier"
            self.block = mx.gluon.Block()
            setattr(self.block, job["family"], self.model)
            setattr(self.block, head_part, self.head)

    def build_model(self, job: "dict[str, Any]", parts: "set[str]") -> "Any":  # noqa: ANN401 - mxnet has no type hints
        """The backbone with its pooler and pretraining heads, as far as `parts` names them."""
        from gluonnlp.model import bert

        dims, hyperparameters = job["dims"], job["hyperparameters"]
        only_0_8 = {} if self.length_first else {"attention_cell": "multi_head", "scaled": True, "use_residual": True}
        encoder = bert.BERTEncoder(
            num_layers=dims["layers"],
            units=dims["hidden_size"],
            hidden_size=dims["intermediate_size"],
            max_length=dims["max_positions"],
            num_heads=hyperparameters["attention_heads"],
            activation=hyperparameters["hidden_act"],
            layer_norm_eps=hyperparameters["layer_norm_eps"],
            dropout=0.1,
            **only_0_8,
        )
        sizes = {"vocab_size": dims["vocab_size"], "units": dims["hidden_size"], "embed_size": dims["hidden_size"]}
        if job["family"] == "distilbert" and self.length_first:
            return bert.DistilBERTModel(encoder, **sizes)
        used = {"use_" + part: part in parts for part in ("token_type_embed", *OUTPUTS)}
        return bert.BERTModel(encoder, token_type_vocab_size=dims.get("type_vocab_size"), **dict(sizes, **used))

    def watched(self, *, attentions: bool) -> "list[tuple[str, Any, int]]":
        """The embeddings' LayerNorm and each layer; a cell's attention probabilities are its second output."""
        encoder = self.model.encoder
        found = [("embeddings", encoder.layer_norm, 0)]
        for number in range(len(encoder.transformer_cells)):
            cell = encoder.transformer_cells[number]
            found.append((f"layer.{number}", cell, 0))
            if attentions:
                found.append((f"attention.{number}", cell.attention_cell, 1))
        return found

    def forward(self, inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
        """The pooled output (batch, hidden_size) and the logits of each head."""
        import mxnet as mx
        import numpy as np

        ids = inputs["input_ids"]
        defaults = {"token_types": np.zeros_like(ids), "masked_positions": np.zeros((len(ids), 1))}
        arrays = {name: mx.nd.array(values, dtype="int32") for name, values in {**defaults, **inputs}.items()}
        types = arrays["token_types"] if hasattr(self.model, "token_type_embed") else []
        masked = arrays["masked_positions"] if hasattr(self.model, "decoder") else None
        returned = self.call(self.model, arrays["input_ids"], types, arrays["valid_length"].astype(dtype), masked)
        last, *others = returned if isinstance(returned, tuple) else [returned]
        outputs = dict(zip((name for part, name in OUTPUTS.items() if hasattr(self.model, part)), others))  # noqa: B905 - Python 3.6
        if self.head is not None and self.spans:
            outputs["span_logits"] = self.head(last)
        elif self.head is not None:
            outputs["logits"] = self.head(outputs.get("pooled", last[:, 0]))
        return outputs


def build_head(names: "list[str]", dims: "dict[str, int]") -> "Any":  # noqa: ANN401 - mxnet has no type hints
    """The head of a fine-tuned model; a dropout takes a number in the sequence, so the numbers of the weights show it.

    The classifiers of Bort and RoBERTa have two dense layers.
    """
    from mxnet.gluon import nn

    if names[0].startswith("span_classifier."):
        return nn.Dense(2, flatten=False)
    numbers = [int(name.split(".")[1]) for name in names if name.endswith("weight")]
    if numbers not in ([0], [1], [0, 1], [1, 3]):
        raise ValueError(f"the classifier has weights in the slots {numbers}, expected [0], [1], [0, 1] or [1, 3]")
    layers = nn.HybridSequential()
    inner = [nn.Dense(dims["hidden_size"], activation="tanh")] * (len(numbers) - 1)
    for dense in [*inner, nn.Dense(dims["labels"])]:
        layers.add(*([nn.Dropout(0.1)] * numbers[0]), dense)
    return layers
