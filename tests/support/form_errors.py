"""Deliberate errors in forms that GluonNLP's scripts make of a model, each with the checks that have to catch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from conversion_errors import BERT, ROBERTA, XLNET, Mutant, change, saved_as, without

from bort_convert.verification.findings import BEHAVIOUR, BITS, NAMES_AND_SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from converted_dir import Converted

TAGGER = BERT.with_stem(f"{BERT.stem}-tags5")
NO_NEXT_SENTENCE = BERT.with_stem(f"{BERT.stem}-no_next_sentence")
REGRESSION = ROBERTA.with_stem(f"{ROBERTA.stem}-regression")
ANSWERS = XLNET.with_stem(f"{XLNET.stem}-answers")
INTENT_AND_SLOTS = BERT.with_stem(f"{BERT.stem}-intent3slots5")
FORM_HEADS = {TAGGER: 2, INTENT_AND_SLOTS: 2, NO_NEXT_SENTENCE: 2, REGRESSION: 2, ANSWERS: 2}
EVERY = frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})


def tagger_mutants() -> Iterator[Mutant]:
    """Errors in the rows of a tagger's head, and another class."""
    yield Mutant("two tags exchanged", change("classifier.weight", lambda rows: rows[[1, 0, 2, 3, 4]]))
    yield Mutant("two tags' biases exchanged", change("classifier.bias", lambda values: values[[1, 0, 2, 3, 4]]))
    yield Mutant("tags' bias zeroed", change("classifier.bias", np.zeros_like))
    yield Mutant("tags' units reversed", change("classifier.weight", np.fliplr))
    yield Mutant("tags' weight missing", lambda to: without(to, ("classifier.weight",)), EVERY)
    yield Mutant("saved as BertModel", lambda to: saved_as(to, "BertModel", ("classifier.",)), EVERY)
    yield Mutant(
        "saved as BertForSequenceClassification",
        lambda to: saved_as(to, "BertForSequenceClassification", ()),
        frozenset({NAMES_AND_SHAPES, BEHAVIOUR}),
    )


def intent_and_slots_mutants() -> Iterator[Mutant]:
    """Errors in the slots, which have the class, and in the intent's tensors, which stand beside the model."""
    yield Mutant("two slots exchanged", change("classifier.weight", lambda rows: rows[[1, 0, 2, 3, 4]]))
    yield Mutant("slots' bias negated", change("classifier.bias", np.negative))
    yield Mutant("slots' units reversed", change("classifier.weight", np.fliplr))
    yield Mutant("saved as BertModel", lambda to: saved_as(to, "BertModel", ("classifier.",)), EVERY)
    yield Mutant("intent's file with another value", _other_intent, frozenset({BITS}))


def _other_intent(to: Converted) -> None:
    """Change one bit of the last tensor in the file beside the model."""
    path = to.folder / "extra.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def no_next_sentence_mutants() -> Iterator[Mutant]:
    """Errors in the sentence head of zeros, and classes that lose a part."""
    head = "cls.seq_relationship"
    bits = frozenset({BITS})
    yield Mutant("sentence head's weight not zero", change(f"{head}.weight", lambda rows: rows + 1), bits)
    yield Mutant("sentence head's bias not zero", change(f"{head}.bias", lambda values: values + 1), bits)
    yield Mutant("sentence head missing", lambda to: without(to, (head,)), EVERY)
    yield Mutant("saved as BertForMaskedLM", lambda to: saved_as(to, "BertForMaskedLM", ("bert.pooler.", head)), EVERY)
    yield Mutant("pooler's bias negated", change("bert.pooler.dense.bias", np.negative))
    yield Mutant("head's LayerNorm zeroed", change("cls.predictions.transform.LayerNorm.weight", np.zeros_like))


def regression_mutants() -> Iterator[Mutant]:
    """Errors in the two layers of a RoBERTa's regression."""
    yield Mutant("tanh layer transposed", change("classifier.dense.weight", np.transpose))
    yield Mutant("tanh layer's bias zeroed", change("classifier.dense.bias", np.zeros_like))
    yield Mutant("output negated", change("classifier.out_proj.weight", np.negative))
    yield Mutant("output's bias zeroed", change("classifier.out_proj.bias", np.zeros_like))
    yield Mutant("saved as RobertaModel", lambda to: saved_as(to, "RobertaModel", ("classifier.",)), EVERY)


def answers_mutants() -> Iterator[Mutant]:
    """Errors in the heads of an XLNet that answers questions."""
    end, none = "end_logits", "answer_class.dense_0.weight"
    yield Mutant("start negated", change("start_logits.dense.weight", np.negative))
    yield Mutant("end's token and start exchanged", change(f"{end}.dense_0.weight", lambda rows: np.roll(rows, 8, 1)))
    yield Mutant("end's LayerNorm zeroed", change(f"{end}.LayerNorm.weight", np.zeros_like))
    yield Mutant(
        "end's LayerNorm shifted", change(f"{end}.LayerNorm.bias", lambda values: values + np.arange(8.0, dtype="f"))
    )
    yield Mutant("end's bias left out", change(f"{end}.dense_0.bias", np.zeros_like))
    yield Mutant("class token and start exchanged", change(none, lambda rows: np.roll(rows, 8, 1)))
    yield Mutant("no answer negated", change("answer_class.dense_1.weight", np.negative))
    yield Mutant(
        "heads for end and no answer exchanged",
        lambda to: to.swap(f"{end}.dense_0.weight", "answer_class.dense_0.weight"),
    )
    yield Mutant("starts and ends exchanged", lambda to: to.swap("start_logits.dense.weight", f"{end}.dense_1.weight"))
    yield Mutant(
        "saved as XLNetModel",
        lambda to: saved_as(to, "XLNetModel", ("start_logits", "end_logits", "answer_class")),
        EVERY,
    )


FORM_ERRORS: dict[Path, Callable[[], Iterator[Mutant]]] = {
    TAGGER: tagger_mutants,
    INTENT_AND_SLOTS: intent_and_slots_mutants,
    NO_NEXT_SENTENCE: no_next_sentence_mutants,
    REGRESSION: regression_mutants,
    ANSWERS: answers_mutants,
}
"""Checkpoint -> errors to try on it."""
