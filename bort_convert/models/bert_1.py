"""BERT of GluonNLP 1.0: the network of 0.x with other names, one matrix for queries, keys and values, and new forms.

A published masked-language model holds a pooler and no sentence head. It becomes a BertForPreTraining whose sentence
head is zero, since no class of transformers has a pooler and that head alone.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/bert.py, BertModel, BertForMLM and BertForPretrain.
"""

from bort_convert.mapping.family import GLUONNLP_1, ConfigKey, Family, Table, Variant
from bort_convert.mapping.rows import fill, linear, norm, onto, optional, rename, under
from bort_convert.models._encoder import ALIASES
from bort_convert.models._numpy_encoder import (
    BACKBONE_MODEL,
    CHOICES,
    CLASSIFIER,
    CONDITIONAL,
    CONDITIONAL_SPANS,
    EMBEDDINGS,
    ENCODER_CONFIG,
    FINE_TUNED,
    LAYERS,
    NO_SENTENCE_HEAD,
    POOLER,
    SPANS,
    SQUARE,
    TIED_OUTPUT,
    WHY_NOT_CONDITIONAL,
)

BACKBONE = onto("bert.", (*EMBEDDINGS["hidden_size"], *LAYERS))
POOLING = linear("pooler", "bert.pooler.dense", SQUARE)
HEAD = (
    *linear("mlm_decoder.0", "cls.predictions.transform.dense", SQUARE),
    *norm("mlm_decoder.2", "cls.predictions.transform.LayerNorm", "hidden_size"),
    rename("mlm_decoder.3.bias", "cls.predictions.bias", "vocab_size"),
    TIED_OUTPUT["hidden_size"],
)
ZEROS = (
    fill("cls.seq_relationship.weight", "2 hidden_size", 0.0, why=NO_SENTENCE_HEAD),
    fill("cls.seq_relationship.bias", "2", 0.0, why=NO_SENTENCE_HEAD),
)
CASED, UNCASED, CHINESE, MULTILINGUAL = 28996, 30522, 21128, 119547

FAMILY = Family(
    name="bert-1.0",
    title="GluonNLP 1.0's BERT",
    tables=(
        Table("backbone", (*BACKBONE, *optional(POOLER, POOLING)), (("BertModel", POOLER), ("BertModel",))),
        Table(
            "pretraining",
            (
                *under(BACKBONE_MODEL, (*BACKBONE, *POOLING)),
                *linear("nsp_classifier", "cls.seq_relationship", "2 hidden_size"),
                *HEAD,
            ),
            (("BertForPreTraining",),),
        ),
        Table(
            "masked language model",
            (*under(BACKBONE_MODEL, BACKBONE), *optional(POOLER, under(BACKBONE_MODEL, POOLING), ZEROS), *HEAD),
            (("BertForPreTraining", POOLER), ("BertForMaskedLM",)),
        ),
        Table(
            "classifier",
            (*under(FINE_TUNED, (*BACKBONE, *POOLING)), *CLASSIFIER),
            (("BertForSequenceClassification",),),
        ),
        Table("question answering", (*under(FINE_TUNED, BACKBONE), *SPANS), (("BertForQuestionAnswering",),)),
        Table(CONDITIONAL_SPANS, (*under(FINE_TUNED, BACKBONE), *CONDITIONAL), (), refusal=WHY_NOT_CONDITIONAL),
    ),
    variants=(
        Variant(
            "google_bert_base",
            {"layers": 12, "hidden_size": 768, "intermediate_size": 3072, "max_positions": 512},
            {"attention_heads": 12},
            frozenset({CASED, UNCASED, CHINESE, MULTILINGUAL}),
        ),
        Variant(
            "google_bert_large",
            {"layers": 24, "hidden_size": 1024, "intermediate_size": 4096, "max_positions": 512},
            {"attention_heads": 16},
            frozenset({CASED, UNCASED}),
        ),
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0},
    config=(
        ConfigKey("model_type", constant="bert"),
        *ENCODER_CONFIG,
    ),
    base="bert.",
    base_class="BertModel",
    tokenizer="WordPiece-1.0",
    aliases=ALIASES,
    versions=GLUONNLP_1,
    choices=CHOICES,
    mxnet_module="gluon1",
)
