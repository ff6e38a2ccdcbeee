"""MobileBERT (GluonNLP 1.0): narrow layers between wide hidden states, with stacked feed-forward layers and a trigram.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/mobilebert.py; transformers 5.23, modeling_mobilebert.py.
"""

from bort_convert.mapping.family import GLUONNLP_1, ConfigKey, Family, ModuleLayout, Table, Variant
from bort_convert.mapping.rows import linear, norm, onto, rename, tied, transpose, under
from bort_convert.models._encoder import ALIASES
from bort_convert.models._numpy_encoder import (
    BACKBONE_MODEL,
    CLASSIFIER,
    CONDITIONAL,
    CONDITIONAL_SPANS,
    ENCODER_CONFIG,
    FINE_TUNED,
    SPANS,
    SQUARE,
    WHY_NOT_CONDITIONAL,
)

INNER, WIDE, WORDS = "inner_size", "hidden_size", "vocab_size embedding_size"
SHARED, NARROW = f"{INNER} {WIDE}", f"{INNER} {INNER}"
FEED_FORWARD = (
    *linear("ffn_1", "intermediate.dense", f"intermediate_size {INNER}"),
    *linear("ffn_2", "output.dense", f"{INNER} intermediate_size"),
    *norm("layer_norm", "output.LayerNorm", INNER),
)
LAYER = (
    *linear("in_bottleneck_proj", "bottleneck.input.dense", SHARED),
    *norm("in_bottleneck_ln", "bottleneck.input.LayerNorm", INNER),
    *linear("shared_qk", "bottleneck.attention.dense", SHARED),
    *norm("shared_qk_ln", "bottleneck.attention.LayerNorm", INNER),
    *(row for part in ("query", "key") for row in linear(f"attn_{part}", f"attention.self.{part}", NARROW)),
    *linear("attn_value", "attention.self.value", SHARED),
    *linear("attention_proj", "attention.output.dense", NARROW),
    *norm("layer_norm", "attention.output.LayerNorm", INNER),
    *under("stacked_ffn.{ffn}.", onto("ffn.{ffn}.", FEED_FORWARD)),
    *under("stacked_ffn.{last_ffn}.", FEED_FORWARD),
    *linear("out_bottleneck_proj", "output.bottleneck.dense", f"{WIDE} {INNER}"),
    *norm("out_bottleneck_ln", "output.bottleneck.LayerNorm", WIDE),
)
EMBEDDINGS = (
    rename("word_embed.weight", "word_embeddings.weight", WORDS),
    rename("token_pos_embed._embed.weight", "position_embeddings.weight", f"max_positions {WIDE}"),
    rename("token_type_embed.weight", "token_type_embeddings.weight", f"type_vocab_size {WIDE}"),
    *linear("embed_factorized_proj", "embedding_transformation", f"{WIDE} 3*embedding_size"),
    *norm("embed_layer_norm", "LayerNorm", WIDE),
)
BACKBONE = onto(
    "mobilebert.",
    (*onto("embeddings.", EMBEDDINGS), *under("encoder.all_layers.{layer}.", onto("encoder.layer.{layer}.", LAYER))),
)
MASKED_LM = (
    *under(BACKBONE_MODEL, BACKBONE),
    *linear("mlm_decoder.0", "cls.predictions.transform.dense", SQUARE),
    *norm("mlm_decoder.2", "cls.predictions.transform.LayerNorm", WIDE),
    rename("embedding_table.bias", "cls.predictions.bias", "vocab_size"),
    tied("embedding_table.weight", tied_to=f"{BACKBONE_MODEL}word_embed.weight", axes=WORDS, why="the output is tied"),
    transpose("extra_table.weight", "cls.predictions.dense.weight", "vocab_size extra_size"),
)
PRETRAINING = (*MASKED_LM, *linear("nsp_classifier", "cls.seq_relationship", "2 hidden_size"))
FAMILY = Family(
    name="mobilebert",
    title="MobileBERT",
    tables=(
        Table("backbone", BACKBONE, (("MobileBertModel",),)),
        Table("masked language model", MASKED_LM, (("MobileBertForMaskedLM",),)),
        Table("pretraining", PRETRAINING, (("MobileBertForPreTraining",),)),
        Table("classifier", (*under(FINE_TUNED, BACKBONE), *CLASSIFIER), (("MobileBertForSequenceClassification",),)),
        Table("question answering", (*under(FINE_TUNED, BACKBONE), *SPANS), (("MobileBertForQuestionAnswering",),)),
        Table(CONDITIONAL_SPANS, (*under(FINE_TUNED, BACKBONE), *CONDITIONAL), (), refusal=WHY_NOT_CONDITIONAL),
    ),
    variants=(
        Variant(
            "google_uncased_mobilebert",
            {"layers": 24, WIDE: 512, INNER: 128, "intermediate_size": 512, "embedding_size": 128, "ffns": 3},
            {"attention_heads": 4},
            frozenset({30522}),
        ),
    ),
    hyperparameters={"hidden_act": "relu", "layer_norm_eps": 1e-12, "pad_token_id": 0},
    config=(
        ConfigKey("model_type", constant="mobilebert"),
        *(key for key in ENCODER_CONFIG if key.name != "hidden_dropout_prob"),
        ConfigKey("embedding_size", "embedding_size", default=128),
        ConfigKey("intra_bottleneck_size", INNER, default=128),
        ConfigKey("num_feedforward_networks", "ffns", plus=1, default=4),
        ConfigKey("hidden_dropout_prob", constant=0.0),
        ConfigKey("classifier_activation", constant=False),  # the pooled output is the first token as it is
    ),
    base="mobilebert.",
    base_class="MobileBertModel",
    tokenizer="WordPiece-1.0",
    aliases=ALIASES,
    versions=GLUONNLP_1,
    choices={"hidden_act": ("relu",)},
    pooler=False,
    mxnet_module="gluon1",
    layout=ModuleLayout(reads_padding=True),
)
