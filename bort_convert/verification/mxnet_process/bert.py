# ruff: noqa: PLC0415 - mxnet is there when a model is built; Python 3.6 syntax
"""BERT, RoBERTa, Bort and what has their shape: gluonnlp's own BERTModel, with a head behind it if there is one.

Releases from 0.9 on take fewer arguments, and compute attention by kernels of MXNet that are there in float32 alone.

Source: dmlc/gluon-nlp v0.8.3 and v0.10.0, model/bert.py and scripts/bert/model; alexa/bort, bort/bort.py, which leaves
some of it out.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

BEHIND = {"pooler": "pooled", "classifier": "next_sentence", "decoder": "mlm_logits"}  # in gluonnlp's order


class Network:
    """The model that the job's structural names belong to: the names say what it has."""

    def __init__(self, job: "dict[str, Any]") -> None:
        import gluonnlp
        import mxnet as mx

        models = gluonnlp.model.bert
        self.length_first = not gluonnlp.__version__.startswith("0.8.")
        self.dtypes = ["float32"] if self.length_first else ["float32", "float64"]
        dims, hyperparameters, names, child = (
            job["dims"],
            job["hyperparameters"],
            sorted(job["names"].values()),
            job["family"] + ".",
        )
        prefix = child if any(name.startswith(child) for name in names) else ""
        outside = [name for name in names if not name.startswith(prefix)]
        parts = {name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)}
        sizes = {
            "num_layers": dims["layers"],
            "hidden_size": dims["intermediate_size"],
            "max_length": dims["max_positions"],
        }
        known = {"num_heads": hyperparameters["attention_heads"], "activation": hyperparameters["hidden_act"]}
        fixed = {} if self.length_first else {"attention_cell": "multi_head", "scaled": True, "use_residual": True}
        encoder = models.BERTEncoder(
            units=dims["hidden_size"],
            layer_norm_eps=hyperparameters["layer_norm_eps"],
            dropout=0.1,
            **dict(sizes, **dict(known, **fixed)),
        )
        tables = {"vocab_size": dims["vocab_size"], "units": dims["hidden_size"], "embed_size": dims["hidden_size"]}
        if job["family"] == "distilbert" and self.length_first:
            self.model = models.DistilBERTModel(encoder, **tables)
        else:
            uses = {"use_" + part: part in parts for part in ("token_type_embed", *BEHIND)}
            self.model = models.BERTModel(
                encoder, token_type_vocab_size=dims.get("type_vocab_size"), **dict(tables, **uses)
            )
        self.call = models.BERTModel.__call__  # DistilBERT's own takes fewer arguments and fills these in
        self.head, self.spans = None, False  # type: Any, bool
        whole = mx.gluon.Block()
        if outside:
            self.head, self.spans = build_head(outside, dims), outside[0].startswith("span_classifier.")
            setattr(whole, job["family"], self.model)
            setattr(whole, outside[0].split(".")[0], self.head)
        self.block = whole if outside else self.model

    def watched(self, *, attentions: bool) -> "list[tuple[str, Any, int]]":
        """The embeddings' LayerNorm and each layer; a layer's second output are its attention probabilities."""
        encoder = self.model.encoder
        found = [("embeddings", encoder.layer_norm, 0)]
        for number in range(len(encoder.transformer_cells)):
            cell = encoder.transformer_cells[number]
            found.append((f"layer.{number}", cell, 0))
            if attentions:
                found.append((f"attention.{number}", cell.attention_cell, 1))
        return found

    def forward(self, inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
        """What stands behind the encoder: pooled (batch, units), the logits of its heads."""
        import mxnet as mx
        import numpy as np

        ids = inputs["input_ids"]
        given = {"token_types": np.zeros_like(ids), "masked_positions": np.zeros((len(ids), 1)), **inputs}
        arrays = {name: mx.nd.array(values, dtype="int32") for name, values in given.items()}
        types = arrays["token_types"] if hasattr(self.model, "token_type_embed") else []
        masked = arrays["masked_positions"] if hasattr(self.model, "decoder") else None
        found = self.call(self.model, arrays["input_ids"], types, arrays["valid_length"].astype(dtype), masked)
        last, *rest = found if isinstance(found, tuple) else [found]
        outputs = dict(zip((name for part, name in BEHIND.items() if hasattr(self.model, part)), rest))  # noqa: B905 - Python 3.6
        if self.head is not None:
            read = last if self.spans else outputs.get("pooled", last[:, 0])
            outputs["span_logits" if self.spans else "logits"] = self.head(read)
        return outputs


def build_head(names: "list[str]", dims: "dict[str, int]") -> "Any":  # noqa: ANN401 - mxnet has no type hints
    """What a fine-tuned model has behind its encoder: a dropout takes a slot, so the numbers tell if there is any.

    Bort's and RoBERTa's classifiers have two layers.
    """
    from mxnet.gluon import nn

    if names[0].startswith("span_classifier."):
        return nn.Dense(2, flatten=False)
    slots = [int(name.split(".")[1]) for name in names if name.endswith("weight")]
    if slots not in ([0], [1], [0, 1], [1, 3]):
        raise ValueError(f"the classifier has weights in the slots {slots}, expected [0], [1], [0, 1] or [1, 3]")
    layers = nn.HybridSequential()
    for dense in [nn.Dense(dims["hidden_size"], activation="tanh")] * (len(slots) - 1) + [nn.Dense(dims["labels"])]:
        layers.add(*([nn.Dropout(0.1)] * slots[0]), dense)
    return layers
