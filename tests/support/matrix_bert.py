"""BERT, ERNIE, Bort, RoBERTa and DistilBERT by gluonnlp's own classes, with the heads that stand among its scripts.

The names of the classes stand in prefixed names, so they are gluonnlp's. The MXNet side of the matrix imports this.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py and scripts/bert/model; v0.10.0, model/bert.py (RoBERTaClassifier,
DistilBERTModel); alexa/bort, bort/bort.py.
"""

from __future__ import annotations

from typing import Any

import gluonnlp
import mxnet as mx
import numpy as np
from gluonnlp.model.bert import BERTEncoder, BERTModel
from matrix_shapes import Batch, Outputs, Shape
from mxnet.gluon import Block, HybridBlock, nn

LENGTH_FIRST = not gluonnlp.__version__.startswith("0.8.")
DROPOUT = 0.1


class BortModel(BERTModel):  # type: ignore[misc] # neither gluonnlp nor mxnet has types; prefixed names hold the class's
    pass


class RoBERTaModel(BERTModel):  # type: ignore[misc]
    pass


class DistilBERTModel(BERTModel):  # type: ignore[misc]
    pass


BACKBONES = {"bort": BortModel, "roberta": RoBERTaModel, "distilbert": DistilBERTModel}
BEHIND = {
    "pretraining": ("pooler", "next_sentence", "masked_lm"),
    "masked_lm": ("masked_lm",),
    "next_sentence": ("pooler", "next_sentence"),
    "pooler": ("pooler",),
    "encoder": (),
    "question_answering": (),
    "tagger": (),
    "no_next_sentence": ("pooler", "masked_lm"),
    "intent_and_slots": ("pooler",),
}
"""What stands behind the encoder in each form, in gluonnlp's order; a classifier of BERT's has the pooler."""
TOKEN_HEADS = {"question_answering": "span_logits", "tagger": "tag_logits", "intent_and_slots": "tag_logits"}
"""Forms with a head that reads every token, with the name of its output."""
NAMES = {"pooler": "pooled", "next_sentence": "next_sentence", "masked_lm": "mlm_logits"}


class BertNetwork:
    """A model of gluonnlp's, alone or as the child of a fine-tuned one."""

    def __init__(self, shape: Shape) -> None:
        pooled = () if shape.family in BACKBONES else ("pooler",)
        self.parts = BEHIND.get(shape.form, pooled)
        self.form, self.model = shape.form, backbone(shape, self.parts)
        self.head: Any = None
        self.block = self.model
        if shape.form in TOKEN_HEADS:
            self.block, self.head = of_tokens(shape, self.model)
        elif shape.form not in BEHIND:
            self.block, self.head = fine_tuned(shape, self.model)
        self.states: Outputs = {}
        self.watch("embeddings", self.model.encoder.layer_norm)
        for number, cell in enumerate(self.model.encoder.transformer_cells):
            self.watch(f"layer{number}", cell)

    def watch(self, name: str, block: Block) -> None:
        """Keep what a block gives in each run."""

        def keep(_block: Block, _inputs: object, output: Any) -> None:  # noqa: ANN401 - MXNet's own signature
            values = (output[0] if isinstance(output, (tuple, list)) else output).asnumpy()
            self.states[name] = values.swapaxes(0, 1) if LENGTH_FIRST else values

        block.register_forward_hook(keep)

    def settle(self) -> None:
        """Give the parameters their shapes."""
        self.run(Batch(np.ones((1, 2)), np.zeros((1, 2)), np.array([2])))

    def run(self, batch: Batch) -> Outputs:
        """Every hidden state and every head's output; the masked-language-model head reads every position."""
        ids, types, lengths = (mx.nd.array(each) for each in (batch.ids, batch.types, batch.lengths))
        everywhere = mx.nd.array(np.tile(np.arange(batch.ids.shape[1]), (len(batch.ids), 1)))
        masked = everywhere if "masked_lm" in self.parts else None
        token_types = types if hasattr(self.model, "token_type_embed") else []
        output = BERTModel.__call__(self.model, ids, token_types, lengths, masked)
        last, *behind = output if isinstance(output, tuple) else (output,)
        outputs = {NAMES[part]: values.asnumpy() for part, values in zip(self.parts, behind, strict=True)}
        if (name := TOKEN_HEADS.get(self.form)) is not None:
            outputs[name] = self.head(last).asnumpy()
            if self.form == "intent_and_slots":
                outputs["intent"] = self.block.intent_classifier(behind[0]).asnumpy()
        elif self.head is not None:
            outputs["logits"] = self.head(behind[0] if behind else last[:, 0]).asnumpy()
        return {**self.states, **outputs}


def backbone(shape: Shape, parts: tuple[str, ...]) -> Any:  # noqa: ANN401 - an MXNet block
    encoder = BERTEncoder(
        num_layers=shape.layers,
        units=shape.hidden,
        hidden_size=shape.intermediate,
        max_length=shape.positions,
        num_heads=shape.heads,
        dropout=DROPOUT,
        activation=shape.activation,
        layer_norm_eps=shape.epsilon,
    )
    return BACKBONES.get(shape.family, BERTModel)(
        encoder,
        vocab_size=shape.vocab,
        token_type_vocab_size=shape.types or None,
        units=shape.hidden,
        embed_size=shape.hidden,
        **({} if LENGTH_FIRST else {"embed_dropout": DROPOUT}),
        use_pooler="pooler" in parts,
        use_classifier="next_sentence" in parts,
        use_decoder="masked_lm" in parts,
        use_token_type_embed=bool(shape.types),
    )


class BERTClassifier(HybridBlock):  # type: ignore[misc]
    """An output layer, or a tanh layer and an output layer, behind a model that is this block's child."""

    child, attribute = "bert", "classifier"

    def __init__(self, model: Block, widths: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        setattr(self, self.child, model)
        with self.name_scope():
            head = nn.HybridSequential()
            for number, width in enumerate(widths):
                if dropout:
                    head.add(nn.Dropout(dropout))
                head.add(nn.Dense(width, activation=None if number == len(widths) - 1 else "tanh"))
            setattr(self, self.attribute, head)


class BERTRegression(BERTClassifier):
    attribute = "regression"


class BortClassifier(BERTClassifier):
    child = "bort"


class RoBERTaClassifier(BERTClassifier):
    child = "roberta"


class BertForQA(HybridBlock):  # type: ignore[misc]
    def __init__(self, model: Block) -> None:
        super().__init__()
        self.bert = model
        with self.name_scope():
            self.span_classifier = nn.Dense(2, flatten=False)


class BERTTagger(HybridBlock):  # type: ignore[misc]
    def __init__(self, model: Block, labels: int) -> None:
        super().__init__()
        self.bert_model = model
        with self.name_scope():
            self.tag_classifier = nn.Dense(labels, flatten=False)


class BERTForICSL(Block):  # type: ignore[misc]
    def __init__(self, model: Block, intents: int, slots: int) -> None:
        super().__init__()
        self.bert = model
        with self.name_scope():
            for name, outputs in {"intent_classifier": intents, "slot_tagger": slots}.items():
                head = nn.HybridSequential()
                with head.name_scope():
                    head.add(nn.Dropout(DROPOUT), nn.Dense(outputs, flatten=False))
                setattr(self, name, head)


def of_tokens(shape: Shape, model: Block) -> tuple[Block, Block]:
    """A model for answers, for tags, or for an intent and slots on a model, and its head for tokens."""
    if shape.form == "intent_and_slots":
        joint = BERTForICSL(model, shape.labels + 1, shape.labels)
        return joint, joint.slot_tagger
    if shape.form == "tagger":
        tagger = BERTTagger(model, shape.labels)
        return tagger, tagger.tag_classifier
    answers = BertForQA(model)
    return answers, answers.span_classifier


def fine_tuned(shape: Shape, model: Block) -> tuple[Block, Block]:
    """A classifier or a regression on a model, and its head."""
    dropout = 0.0 if shape.form.endswith("without_dropout") else DROPOUT
    labels = 1 if shape.form.startswith("regression") else shape.labels
    if shape.family in BACKBONES:
        classifier = {"bort": BortClassifier, "roberta": RoBERTaClassifier}[shape.family](
            model, (shape.hidden, labels), dropout
        )
    else:
        classifier = (BERTRegression if shape.form.startswith("regression") else BERTClassifier)(
            model, (labels,), dropout
        )
    return classifier, getattr(classifier, classifier.attribute)
