"""BERT (gluonnlp 0.6 to 0.10), and models of its sizes and names: SciBERT, BioBERT, ClinicalBERT, KoBERT.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py; scripts/bert/model/classification.py and qa.py.
"""

from bort_convert.mapping.family import ConfigKey, Family, Table, Variant
from bort_convert.mapping.rows import linear, onto, optional, under
from bort_convert.models._encoder import (
    ALIASES,
    CHOICES,
    CONFIG,
    HEAD,
    LAYERS,
    MASKED_LM,
    MODEL,
    POSITIONS,
    TYPES,
    VERSIONS,
    WORDS,
)

POOLER, NEXT_SENTENCE = "pooler", "next-sentence head"

BACKBONE = onto("bert.", (WORDS, POSITIONS, TYPES, *LAYERS))
POOLING = linear("pooler", "bert.pooler.dense", "hidden_size hidden_size", prefixed=f"{MODEL}pooler")

LANGUAGE_MODEL = (
    *BACKBONE,
    *optional(POOLER, POOLING),
    *optional(NEXT_SENTENCE, linear("classifier", "cls.seq_relationship", "2 hidden_size", prefixed=f"{MODEL}cls")),
    *HEAD,
)

# A dropout layer has a number of its own in the Sequential; without it the dense layer is number 0.
POOLED = under("bert.", (*BACKBONE, *POOLING))
CLASSIFIER = (*POOLED, *linear("classifier.1", "classifier", "labels hidden_size", prefixed="[~classifier#_]dense#"))
CLASSIFIER_WITHOUT_DROPOUT = (*POOLED, *linear("classifier.0", "classifier", "labels hidden_size"))
REGRESSION = (*POOLED, *linear("regression.1", "classifier", "labels hidden_size", prefixed="~regression#_dense#"))
REGRESSION_WITHOUT_DROPOUT = (*POOLED, *linear("regression.0", "classifier", "labels hidden_size"))

QUESTION_ANSWERING = (
    *under("bert.", BACKBONE),
    *linear("span_classifier", "qa_outputs", "2 hidden_size", prefixed="~forqa#_dense#"),
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
        Variant(
            "bert_12_768_12",
            {"layers": 12, "intermediate_size": 3072, "hidden_size": 768, "max_positions": 512},
            {"attention_heads": 12},
        ),
        Variant(
            "bert_24_1024_16",
            {"layers": 24, "intermediate_size": 4096, "hidden_size": 1024, "max_positions": 512},
            {"attention_heads": 16},
        ),
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0},
    config=(
        ConfigKey("model_type", constant="bert"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "max_positions", default=512),
        ConfigKey("type_vocab_size", "type_vocab_size", default=2),
        ConfigKey("pad_token_id", "pad_token_id"),
    ),
    base="bert.",
    base_class="BertModel",
    tokenizer="WordPiece",
    aliases=ALIASES,
    by_version=VERSIONS,
    choices=CHOICES,
)
