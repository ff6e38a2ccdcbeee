"""ELECTRA (GluonNLP 1.0): a BERT encoder with narrow embeddings; a discriminator finds what a generator made.

Embeddings as wide as the layers have no projection.
Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/electra.py, ElectraModel, ElectraDiscriminator,
ElectraGenerator and get_generator_cfg; transformers 5.23, models/electra/modeling_electra.py.
"""

from bort_convert.mapping.family import GLUONNLP_1, ConfigKey, Family, ModuleLayout, Table, Variant
from bort_convert.mapping.rows import linear, norm, onto, optional, rename, under
from bort_convert.models._numpy_encoder import (
    BACKBONE_MODEL,
    CONDITIONAL,
    CONDITIONAL_SPANS,
    EMBEDDINGS,
    ENCODER_CONFIG,
    FINE_TUNED,
    LAYER,
    POOLED_OUTPUT,
    SPANS,
    SQUARE,
    TIED_OUTPUT,
    WHY_NO_CLASSIFIER,
    WHY_NOT_CONDITIONAL,
)

WIDTH, PROJECTION = "embedding_size", "embedding projection"
BACKBONE = onto(
    "electra.",
    (
        *EMBEDDINGS[WIDTH],
        *optional(PROJECTION, linear("embed_factorized_proj", "embeddings_project", f"hidden_size {WIDTH}")),
        *under("encoder.all_encoder_layers.{layer}.", onto("encoder.layer.{layer}.", LAYER)),
    ),
)
DISCRIMINATOR = (
    *linear("rtd_encoder.0", "discriminator_predictions.dense", SQUARE),
    *linear("rtd_encoder.2", "discriminator_predictions.dense_prediction", "1 hidden_size"),
)
GENERATOR = (
    *linear("mlm_decoder.0", "generator_predictions.dense", f"{WIDTH} hidden_size"),
    *norm("mlm_decoder.2", "generator_predictions.LayerNorm", WIDTH),
    rename("mlm_decoder.3.bias", "generator_lm_head.bias", "vocab_size"),
    TIED_OUTPUT[WIDTH],
)
FORMS = (
    ("backbone", BACKBONE, ("ElectraModel",), ""),
    ("discriminator", (*under(BACKBONE_MODEL, BACKBONE), *DISCRIMINATOR), ("ElectraForPreTraining",), ""),
    ("generator", (*under(BACKBONE_MODEL, BACKBONE), *GENERATOR), ("ElectraForMaskedLM",), ""),
    ("question answering", (*under(FINE_TUNED, BACKBONE), *SPANS), ("ElectraForQuestionAnswering",), ""),
    (CONDITIONAL_SPANS, (*under(FINE_TUNED, BACKBONE), *CONDITIONAL), (), WHY_NOT_CONDITIONAL),
    ("classifier", (*under(FINE_TUNED, BACKBONE), *POOLED_OUTPUT), (), WHY_NO_CLASSIFIER),
)
AXES = ("layers", "hidden_size", "intermediate_size", WIDTH, "attention_heads", "max_positions")
SIZES = {
    "google_electra_small": (12, 256, 1024, 128, 4, 512),
    "google_electra_base": (12, 768, 3072, 768, 12, 512),
    "google_electra_base_generator": (12, 256, 1024, 768, 4, 512),
    "google_electra_large": (24, 1024, 4096, 1024, 16, 512),
    "google_electra_large_generator": (24, 256, 1024, 1024, 4, 512),
    "gluon_electra_small_owt": (12, 256, 1024, 128, 4, 128),
    "gluon_electra_small_owt_generator": (12, 64, 256, 128, 1, 128),
}
FAMILY = Family(
    name="electra",
    title="ELECTRA",
    tables=tuple(
        Table(
            title,
            rows,
            tuple((name, *groups) for name in classes for groups in ((PROJECTION,), ())),
            refusal=why,
            equal_unless={PROJECTION: (WIDTH, "hidden_size")},
        )
        for title, rows, classes, why in FORMS
    ),
    variants=tuple(
        Variant(
            name,
            {axis: size for axis, size in zip(AXES, sizes, strict=True) if axis != "attention_heads"},
            {"attention_heads": sizes[4]},
            frozenset({30522}),
        )
        for name, sizes in SIZES.items()
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0},
    config=(
        ConfigKey("model_type", constant="electra"),
        *ENCODER_CONFIG,
        ConfigKey("embedding_size", WIDTH, default=128),
    ),
    base="electra.",
    base_class="ElectraModel",
    tokenizer="WordPiece-1.0",
    aliases={"generator_lm_head.weight": "embeddings.word_embeddings.weight"},
    versions=GLUONNLP_1,
    choices={"hidden_act": ("gelu",)},
    pooler=False,
    mxnet_module="gluon1",
    layout=ModuleLayout(projection="embeddings_project"),
)
