"""Forms of the checkpoints that hold an XLNet: the language model, and the networks that its scripts make of it.

Source: dmlc/gluon-nlp v0.10.0, scripts/language_model/model/qa.py, XLNetForQA, and XLNet_classifier.py,
XLNetClassifier; the target names: transformers 5.23, models/xlnet/modeling_xlnet.py.
"""

from bort_convert.mapping.family import Table
from bort_convert.mapping.rows import drop, linear, norm, optional, rename, tied, under
from bort_convert.models._xlnet_rows import BODY, MASK, NO_MASK, SQUARE, WORD_AXES, WORDS

HEAD, LABELS, DOUBLE = "language-model head", "labels hidden_size", "hidden_size 2*hidden_size"
REST = (
    *BODY,
    *optional(
        HEAD,
        rename("_net.decoder.bias", "lm_loss.bias", "vocab_size", prefixed=f"{WORDS}_bias"),
        tied("_net.decoder.weight", tied_to="_net.word_embed.weight", axes=WORD_AXES, why="the output is tied"),
    ),
)
FINE_TUNED = under("xlnet.", (MASK, *BODY))
CLASSES = (("XLNetModel",), ("XLNetLMHeadModel", HEAD))

ANSWERS, END, CLASS = "~forqa#", "~forqa#_poolerendlogits#", "~forqa#_~pooleranswerclass#"
QUESTION_ANSWERING = (
    *FINE_TUNED,
    *linear("start_logits.dense", "start_logits.dense", "1 hidden_size", prefixed=f"{ANSWERS}_dense#"),
    *linear("end_logits.dense_0", "end_logits.dense_0", DOUBLE, prefixed=f"{END}_dense0"),
    *norm("end_logits.layernorm", "end_logits.LayerNorm", "hidden_size", prefixed=f"{END}_layernorm#"),
    *linear("end_logits.dense_1", "end_logits.dense_1", "1 hidden_size", prefixed=f"{END}_dense1"),
    *linear("answer_class.dense_0", "answer_class.dense_0", DOUBLE, prefixed=f"{CLASS}_dense0"),
    rename(
        "answer_class.dense_1.weight", "answer_class.dense_1.weight", "1 hidden_size", prefixed=f"{CLASS}_dense1_weight"
    ),
)

POOLED_TWICE = (
    "the script applies its pooler, a dense layer and tanh, twice in a row, and XLNetForSequenceClassification applies "
    "it once; no class of transformers computes this"
)
CLASSIFIER, CLASSIFIER_WITHOUT_DROPOUT = (
    FINE_TUNED
    + tuple(
        drop(
            f"{name}.{part}",
            axes if part == "weight" else axes.split()[0],
            why=POOLED_TWICE,
            prefixed=f"{short}_{part}",
        )
        for name, axes, short in (
            (f"classifier.{number}", LABELS, "[~classifier#_]dense0"),
            ("pooler", SQUARE, "[~classifier#_]dense1"),
        )
        for part in ("weight", "bias")
    )
    for number in (1, 0)
)

TABLES = (
    Table("language model", (MASK, *REST), CLASSES),
    Table("language model, no mask", (NO_MASK, *REST), CLASSES),
    Table("question answering", QUESTION_ANSWERING, (("XLNetForQuestionAnswering",),)),
    Table("classifier or regression", CLASSIFIER, (), refusal=POOLED_TWICE),
    Table("classifier or regression without dropout", CLASSIFIER_WITHOUT_DROPOUT, (), refusal=POOLED_TWICE),
)
