"""T5 (GluonNLP 1.0): an encoder and a decoder with relative positions and norms in front of their layers.

Unlike Google's model, GluonNLP's does not scale the decoder's output before the tied output layer (T5Inference).
Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/t5.py; transformers 5.23, models/t5/modeling_t5.py.
"""

from bort_convert.dtypes import Hyperparameter
from bort_convert.mapping.family import GLUONNLP_1, ConfigKey, Family, Table, Variant
from bort_convert.mapping.rows import constant, onto, rename, under
from bort_convert.models._stacks import T5_LAYOUT

WHY, INNER = "GluonNLP's RMS norm holds a beta of zeros that is not learned", "attention_heads*head_dim"
NORM = (rename("gamma", "weight", "hidden_size"), constant("beta", "hidden_size", 0.0, why=WHY))
ATTENTIONS = tuple(
    (
        *under(f"{kind}_attn_layer_norm.", onto("layer_norm.", NORM)),
        *(rename(f"{kind}_attn_{part}.weight", f"{module}.{part}.weight", f"{INNER} hidden_size") for part in "qkv"),
        rename(f"{kind}_attn_proj.weight", f"{module}.o.weight", f"hidden_size {INNER}"),
    )
    for kind, module in (("self", "SelfAttention"), ("cross", "EncDecAttention"))
)
IN, OUT = "intermediate_size hidden_size", "hidden_size intermediate_size"
FEED_FORWARD = {
    kind: (
        *under("ffn.", onto("DenseReluDense.", (*rows, rename("ffn_2.weight", "wo.weight", OUT)))),
        *under("ffn.layer_norm.", onto("layer_norm.", NORM)),
    )
    for kind, rows in {
        "relu": (rename("ffn_1.weight", "wi.weight", IN),),
        "gated-gelu": (rename("ffn_1.weight", "wi_1.weight", IN), rename("gated_ffn_1.weight", "wi_0.weight", IN)),
    }.items()
}
STACKS = {"encoder": ("{layer}", ATTENTIONS[:1]), "decoder": ("{decoder_layer}", ATTENTIONS)}
ROWS = {
    kind: (
        rename("input_embedding_layer.weight", "shared.weight", "vocab_size hidden_size"),
        *(
            row
            for stack, (number, attentions) in STACKS.items()
            for row in (
                rename(
                    f"{stack}.relative_position_encoder._rel_pos_embed.weight",
                    f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                    "32 attention_heads",
                ),
                *(
                    row
                    for sublayer, rows in enumerate((*attentions, FEED_FORWARD[kind]))
                    for row in under(
                        f"{stack}.layers.{number}.", onto(f"{stack}.block.{number}.layer.{sublayer}.", rows)
                    )
                ),
                *under(f"{stack}.final_layer_norm.", onto(f"{stack}.final_layer_norm.", NORM)),
            )
        ),
    )
    for kind in FEED_FORWARD
}
TOKEN_IDS: dict[str, Hyperparameter] = {"pad_token_id": 0, "eos_token_id": 1}
CONSTANTS = {"feed_forward_proj": "relu", "scale_decoder_outputs": False, "tie_word_embeddings": True}
AXES = ("layers", "hidden_size", "intermediate_size", "attention_heads", "head_dim")
SIZES = {
    "google_t5_small": (6, 512, 2048, 8, 64),
    "google_t5_base": (12, 768, 3072, 12, 64),
    "google_t5_large": (24, 1024, 4096, 16, 64),
    "google_t5_3B": (24, 1024, 16384, 32, 128),
    "google_t5_11B": (24, 1024, 65536, 128, 128),
}

FAMILY = Family(
    name="t5",
    title="T5",
    tables=(Table("encoder and decoder", ROWS["relu"], (("T5ForConditionalGeneration",),)),),
    variants=tuple(
        Variant(name, dict(zip(AXES, sizes, strict=True)), {}, frozenset({32128})) for name, sizes in SIZES.items()
    ),
    hyperparameters={"layer_norm_eps": 1e-6, **TOKEN_IDS},
    config=(
        ConfigKey("model_type", constant="t5"),
        ConfigKey("vocab_size", "vocab_size"),
        ConfigKey("d_model", "hidden_size"),
        ConfigKey("d_kv", "head_dim"),
        ConfigKey("d_ff", "intermediate_size"),
        ConfigKey("num_layers", "layers"),
        ConfigKey("num_decoder_layers", "decoder_layers"),
        ConfigKey("num_heads", "attention_heads"),
        ConfigKey("layer_norm_epsilon", "layer_norm_eps", default=1e-6),
        *(ConfigKey(name, constant=value) for name, value in CONSTANTS.items()),
        *(ConfigKey(name, name) for name in TOKEN_IDS),
        ConfigKey("decoder_start_token_id", "pad_token_id"),
    ),
    base="",
    base_class="T5Model",
    tokenizer="T5",
    aliases={f"{end}.weight": "shared.weight" for end in ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head")},
    versions=GLUONNLP_1,
    pooler=False,
    mxnet_module="gluon1",
    layout=T5_LAYOUT,
)
