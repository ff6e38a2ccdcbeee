"""RoBERTa of GluonNLP 1.0 and of autogluon-contrib-nlp: a BERT encoder without segments and pooler.

The head has the LayerNorm epsilon of the layers, as in transformers. autogluon-contrib-nlp has older names, and its
language model holds backbone and head without a prefix.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/roberta.py, RobertaModel and RobertaForMLM;
autogluon-contrib-nlp 0.0.1b20220208, models/roberta.py.
"""

from bort_convert.mapping.family import GLUONNLP_1, ConfigKey, Family, Table, Variant
from bort_convert.mapping.rows import fill, linear, norm, onto, optional, pad, rename, tied, under
from bort_convert.models._encoder import CONFIG
from bort_convert.models._numpy_encoder import (
    BACKBONE_MODEL,
    CONDITIONAL,
    CONDITIONAL_SPANS,
    FINE_TUNED,
    LAYERS,
    POOLED_OUTPUT,
    SPANS,
    SQUARE,
    TIED_OUTPUT,
    TOKEN_IDS,
    WHY_NO_CLASSIFIER,
    WHY_NOT_CONDITIONAL,
)

WORDS = "roberta.embeddings.word_embeddings.weight"
WORD_AXES, MASKED_LM = "vocab_size hidden_size", "masked-language-model head"
REST = onto(
    "roberta.",
    (
        pad(
            "pos_embed._embed.weight",
            "embeddings.position_embeddings.weight",
            "max_positions hidden_size",
            rows=1,
            after="pad_token_id",
            why="transformers counts positions from behind the padding id",
        ),
        fill("embeddings.token_type_embeddings.weight", "1 hidden_size", 0.0, why="RoBERTa has no segment embedding"),
        *norm("embed_ln", "embeddings.LayerNorm", "hidden_size"),
        *LAYERS,
    ),
)
BACKBONE = (rename("word_embed.weight", WORDS, WORD_AXES), *REST)
HEAD = (
    *linear("mlm_decoder.0", "lm_head.dense", SQUARE),
    *norm("mlm_decoder.2", "lm_head.layer_norm", "hidden_size"),
    rename("mlm_decoder.3.bias", "lm_head.bias", "vocab_size"),
    TIED_OUTPUT["hidden_size"],
)
OF_AUTOGLUON = (
    rename("tokens_embed.weight", WORDS, WORD_AXES),
    *REST,
    *optional(
        MASKED_LM,
        linear("lm_head.dense1", "lm_head.dense", SQUARE),
        norm("lm_head.ln", "lm_head.layer_norm", "hidden_size"),
        rename("lm_head.dense2.bias", "lm_head.bias", "vocab_size"),
        tied("lm_head.dense2.weight", tied_to="tokens_embed.weight", axes=WORD_AXES, why="the output layer is tied"),
    ),
)
BASE = {"layers": 12, "hidden_size": 768, "intermediate_size": 3072, "max_positions": 512}
LARGE = {"layers": 24, "hidden_size": 1024, "intermediate_size": 4096, "max_positions": 512}

FAMILY = Family(
    name="roberta-1.0",
    title="GluonNLP 1.0's RoBERTa",
    tables=(
        Table("backbone", BACKBONE, (("RobertaModel",),)),
        Table("masked language model", (*under(BACKBONE_MODEL, BACKBONE), *HEAD), (("RobertaForMaskedLM",),)),
        Table("question answering", (*under(FINE_TUNED, BACKBONE), *SPANS), (("RobertaForQuestionAnswering",),)),
        Table(CONDITIONAL_SPANS, (*under(FINE_TUNED, BACKBONE), *CONDITIONAL), (), refusal=WHY_NOT_CONDITIONAL),
        Table("classifier", (*under(FINE_TUNED, BACKBONE), *POOLED_OUTPUT), (), refusal=WHY_NO_CLASSIFIER),
        Table("autogluon's model", OF_AUTOGLUON, (("RobertaForMaskedLM", MASKED_LM), ("RobertaModel",))),
    ),
    variants=(
        Variant("fairseq_roberta_base", {**BASE, "vocab_size": 50265}, {"attention_heads": 12}),
        Variant("fairseq_roberta_large", {**LARGE, "vocab_size": 50265}, {"attention_heads": 16}),
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-5, **TOKEN_IDS},
    config=(
        ConfigKey("model_type", constant="roberta"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "max_positions", plus=1, after="pad_token_id"),
        ConfigKey("type_vocab_size", constant=1),
        *(ConfigKey(name, name) for name in TOKEN_IDS),
    ),
    base="roberta.",
    base_class="RobertaModel",
    tokenizer="RoBERTa",
    aliases={"lm_head.decoder.weight": "embeddings.word_embeddings.weight", "lm_head.decoder.bias": "lm_head.bias"},
    versions=GLUONNLP_1,
    choices={"hidden_act": ("gelu",)},
    mxnet_module="gluon1",
)
