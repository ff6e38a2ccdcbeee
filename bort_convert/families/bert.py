"""BERT (gluonnlp 0.6 to 0.10), and what has its sizes and names: SciBERT, BioBERT, ClinicalBERT, KoBERT.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py; scripts/bert/model/classification.py and qa.py.
"""

from bort_convert.families._encoder import (
    CONFIG,
    HEAD,
    LAYERS,
    MASKED_LM,
    MODEL,
    POSITIONS,
    PRODUCERS,
    SECONDS,
    TYPES,
    WORDS,
)
from bort_convert.family import ConfigKey, Family, Table, Variant
from bort_convert.rows import linear, onto, optional, under

POOLER, NEXT_SENTENCE = "pooler", "next-sentence head"

BACKBONE = onto("bert.", (WORDS, POSITIONS, TYPES, *LAYERS))
POOLING = linear("pooler", "bert.pooler.dense", "units units", prefixed=f"{MODEL}pooler")

LANGUAGE_MODEL = (
    *BACKBONE,
    *optional(POOLER, POOLING),
    *optional(NEXT_SENTENCE, linear("classifier", "cls.seq_relationship", "2 units", prefixed=f"{MODEL}cls")),
    *HEAD,
)

# Dropout takes up a number in the Sequential; without it the dense layer moves forward.
POOLED = under("bert.", (*BACKBONE, *POOLING))
CLASSIFIER = (*POOLED, *linear("classifier.1", "classifier", "labels units", prefixed="[~classifier#_]dense#"))
CLASSIFIER_WITHOUT_DROPOUT = (*POOLED, *linear("classifier.0", "classifier", "labels units"))
REGRESSION = (*POOLED, *linear("regression.1", "classifier", "labels units", prefixed="~regression#_dense#"))
REGRESSION_WITHOUT_DROPOUT = (*POOLED, *linear("regression.0", "classifier", "labels units"))

QUESTION_ANSWERING = (
    *under("bert.", BACKBONE),
    *linear("span_classifier", "qa_outputs", "2 units", prefixed="~forqa#_dense#"),
)

FAMILY = Family(
    name="bert",
    title="BERT",
    tables=(
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
        Table("classifier", CLASSIFIER, (("BertForSequenceClassification",),)),
        Table("classifier without dropout", CLASSIFIER_WITHOUT_DROPOUT, (("BertForSequenceClassification",),)),
        Table("regression", REGRESSION, (("BertForSequenceClassification",),)),
        Table("regression without dropout", REGRESSION_WITHOUT_DROPOUT, (("BertForSequenceClassification",),)),
        Table("question answering", QUESTION_ANSWERING, (("BertForQuestionAnswering",),)),
    ),
    variants=(
        Variant("bert_12_768_12", {"layers": 12, "hidden": 3072, "units": 768, "positions": 512}, {"heads": 12}),
        Variant("bert_24_1024_16", {"layers": 24, "hidden": 4096, "units": 1024, "positions": 512}, {"heads": 16}),
    ),
    facts={"hidden_act": "gelu", "layer_norm_eps": 1e-12},
    config=(
        ConfigKey("model_type", constant="bert"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "positions"),
        ConfigKey("type_vocab_size", "types"),
        ConfigKey("pad_token_id", constant=0),
    ),
    base="bert.",
    base_class="BertModel",
    tokenizer="WordPiece",
    seconds=SECONDS,
    producers=PRODUCERS,
)
