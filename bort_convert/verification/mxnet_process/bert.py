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
TOKEN_HEADS = {"span_classifier": "span_logits", "tag_classifier": "tag_logits", "slot_tagger": "tag_logits"}
"""Heads of fine-tuned models that read every token, with the names of their outputs in a trace."""
TAGGED = "bert_model"
"""Attribute of the backbone in the tagger; in other fine-tuned models it is the name of the family."""


class Network:
    """The model of the job's structural names, which tell its parts."""

    def __init__(self, job: "dict[str, Any]") -> None:
        import gluonnlp
        import mxnet as mx

        self.length_first = not gluonnlp.__version__.startswith("0.8.")
        self.dtypes = ["float32"] if self.length_first else ["float32", "float64"]
        names = sorted(job["names"].values())
        child = next((child for child in (job["family"], TAGGED) if any(n.startswith(child + ".") for n in names)), "")
        prefix = child + "." if child else ""  # the backbone alone stands at the top
        parts = {name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)}
        self.model = self.build_model(job, parts)
        self.call = gluonnlp.model.bert.BERTModel.__call__  # DistilBERT's takes fewer arguments and fills these in
        self.head, self.head_output = None, "logits"  # type: Any, str
        self.block = self.model
        head_names = [name for name in names if not name.startswith(prefix)]
        if head_names:
            head_part = head_names[0].split(".")[0]
            self.head, self.head_output = build_head(head_names, job["dims"]), TOKEN_HEADS.get(head_part, "logits")
            self.block = mx.gluon.Block()
            setattr(self.block, child, self.model)
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
        """The pooled output (batch, hidden_size) and the logits of each head, of all tokens for `TOKEN_HEADS`."""
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
        if self.head is not None:
            of_tokens = self.head_output in TOKEN_HEADS.values()
            outputs[self.head_output] = self.head(last if of_tokens else outputs.get("pooled", last[:, 0]))
        return outputs


def build_head(names: "list[str]", dims: "dict[str, int]") -> "Any":  # noqa: ANN401 - mxnet has no type hints
    """The head of a fine-tuned model; a dropout takes a number in the sequence, so the numbers of the weights show it.

    The classifiers of Bort and RoBERTa have two dense layers.
    """
    from mxnet.gluon import nn

    labels = nn.Dense(2 if names[0].startswith("span_classifier.") else dims["labels"], flatten=False)
    if names[0].startswith(("span_classifier.", "tag_classifier.")):
        return labels
    numbers = [int(name.split(".")[1]) for name in names if name.endswith("weight")]
    if numbers not in ([0], [1], [0, 1], [1, 3]):
        raise ValueError(f"the classifier has weights in the slots {numbers}, expected [0], [1], [0, 1] or [1, 3]")
    layers = nn.HybridSequential()
    inner = [nn.Dense(dims["hidden_size"], activation="tanh")] * (len(numbers) - 1)
    for dense in [*inner, labels]:
        layers.add(*([nn.Dropout(0.1)] * numbers[0]), dense)
    return layers
