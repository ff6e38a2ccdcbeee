"""Forms of the checkpoints that hold a BERT: the language model, and the networks that GluonNLP's scripts make of it.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py; scripts/bert/model/classification.py, qa.py and ner.py, which is
scripts/ner/model.py from v0.9 on; scripts/bert/finetune_icsl.py, later scripts/intent_cls_slot_labeling.
"""

from bort_convert.mapping.family import Table
from bort_convert.mapping.rows import extra, fill, linear, onto, optional, under
from bort_convert.models._encoder import HEAD, HEAD_ROWS, LAYERS, MASKED_LM, MODEL, POSITIONS, SQUARE, TYPES, WORDS

POOLER, NEXT_SENTENCE, LABELS = "pooler", "next-sentence head", "labels hidden_size"

BACKBONE = onto("bert.", (WORDS, POSITIONS, TYPES, *LAYERS))
POOLING = linear("pooler", "bert.pooler.dense", SQUARE, prefixed=f"{MODEL}pooler")

LANGUAGE_MODEL = (
    *BACKBONE,
    *optional(POOLER, POOLING),
    *optional(NEXT_SENTENCE, linear("classifier", "cls.seq_relationship", "2 hidden_size", prefixed=f"{MODEL}cls")),
    *HEAD,
)

# `get_model(..., use_classifier=False)`: only the class with a next-sentence head has a place for all the rest.
NO_NEXT_SENTENCE = "the checkpoint has no next-sentence head"
WITHOUT_NEXT_SENTENCE = (
    *BACKBONE,
    *POOLING,
    *HEAD_ROWS,
    fill("cls.seq_relationship.weight", "2 hidden_size", 0.0, why=NO_NEXT_SENTENCE),
    fill("cls.seq_relationship.bias", "2", 0.0, why=NO_NEXT_SENTENCE),
)

# A dropout layer has a number of its own in the Sequential; without it the dense layer is number 0.
POOLED = under("bert.", (*BACKBONE, *POOLING))
CLASSIFIER = (*POOLED, *linear("classifier.1", "classifier", LABELS, prefixed="[~classifier#_]dense#"))
CLASSIFIER_WITHOUT_DROPOUT = (*POOLED, *linear("classifier.0", "classifier", LABELS))
REGRESSION = (*POOLED, *linear("regression.1", "classifier", LABELS, prefixed="~regression#_dense#"))
REGRESSION_WITHOUT_DROPOUT = (*POOLED, *linear("regression.0", "classifier", LABELS))

QUESTION_ANSWERING = (
    *under("bert.", BACKBONE),
    *linear("span_classifier", "qa_outputs", "2 hidden_size", prefixed="~forqa#_dense#"),
)
TAGGER = (
    *under("bert_model.", BACKBONE, any_name=True),
    *linear("tag_classifier", "classifier", LABELS, prefixed="~tagger#_dense#"),
)

# Two heads, for a text and for its tokens, where each class has one: slots have the class, the intent stands beside it.
INTENT_HEAD, SLOT_HEAD = "~foricsl#_hybridsequential0_dense#", "~foricsl#_hybridsequential1_dense#"
INTENT = linear("intent_classifier.1", "classifier", LABELS, prefixed=INTENT_HEAD)
INTENT_AND_SLOTS = (
    *under("bert.", BACKBONE),
    *linear("slot_tagger.1", "classifier", LABELS, prefixed=SLOT_HEAD),
    extra("bert.pooler.weight", SQUARE, prefixed=f"{MODEL}pooler_weight"),
    extra("bert.pooler.bias", "hidden_size", prefixed=f"{MODEL}pooler_bias"),
    extra("intent_classifier.1.weight", "intents hidden_size", prefixed=f"{INTENT_HEAD}_weight"),
    extra("intent_classifier.1.bias", "intents", prefixed=f"{INTENT_HEAD}_bias"),
)

TABLES = (
    Table(
        "language model",
        LANGUAGE_MODEL,
        (
            ("BertForPreTraining", POOLER, NEXT_SENTENCE, MASKED_LM),
            ("BertForMaskedLM", MASKED_LM),
            ("BertForNextSentencePrediction", POOLER, NEXT_SENTENCE),
            ("BertModel", POOLER),
            ("BertModel",),
        ),
    ),
    Table("language model without next-sentence head", WITHOUT_NEXT_SENTENCE, (("BertForPreTraining",),)),
    Table("classifier", CLASSIFIER, (("BertForSequenceClassification",),)),
    Table("classifier without dropout", CLASSIFIER_WITHOUT_DROPOUT, (("BertForSequenceClassification",),)),
    Table("regression", REGRESSION, (("BertForSequenceClassification",),)),
    Table("regression without dropout", REGRESSION_WITHOUT_DROPOUT, (("BertForSequenceClassification",),)),
    Table("question answering", QUESTION_ANSWERING, (("BertForQuestionAnswering",),)),
    Table("tagger", TAGGER, (("BertForTokenClassification",),)),
    Table("intent and slots", INTENT_AND_SLOTS, (("BertForTokenClassification",),)),
    Table("intent", (*POOLED, *INTENT), (("BertForSequenceClassification",),)),
)
