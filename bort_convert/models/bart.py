"""BART (GluonNLP 1.0): an encoder and a decoder with norms behind their layers, and one matrix for all embeddings.

No file tells whether the model gives features or logits; it becomes the class with the output layer, which has no bias.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/bart.py, BartModel; models/transformer.py,
TransformerEncoderLayer and TransformerDecoderLayer; transformers 5.23, models/bart/modeling_bart.py.
"""

from bort_convert.mapping.family import GLUONNLP_1, ConfigKey, Family, Table, Variant
from bort_convert.mapping.rows import fill, linear, norm, onto, pad, rename, split, tied, under
from bort_convert.models._numpy_encoder import CHOICES, FUSED, SQUARE, TOKEN_IDS
from bort_convert.models._stacks import BART_LAYOUT

STACKS = ("encoder", "decoder")
WORDS = "vocab_size hidden_size"
SELF = tuple(f"self_attn.{part}_proj" for part in "qkv")
FFNS = {
    width: (
        *linear("ffn.ffn_1", "fc1", f"{width} hidden_size"),
        *linear("ffn.ffn_2", "fc2", f"hidden_size {width}"),
        *norm("ffn.layer_norm", "final_layer_norm", "hidden_size"),
    )
    for width in ("intermediate_size", "decoder_intermediate_size")
}
ENCODER_LAYER = (
    split("attn_qkv.weight", [f"{part}.weight" for part in SELF], FUSED),
    split("attn_qkv.bias", [f"{part}.bias" for part in SELF], "3*hidden_size"),
    *linear("attention_proj", "self_attn.out_proj", SQUARE),
    *norm("layer_norm", "self_attn_layer_norm", "hidden_size"),
    *FFNS["intermediate_size"],
)
DECODER_LAYER = (
    split("attn_in_qkv.weight", [f"{part}.weight" for part in SELF], FUSED),
    split("attn_in_qkv.bias", [f"{part}.bias" for part in SELF], "3*hidden_size"),
    *linear("proj_in", "self_attn.out_proj", SQUARE),
    *norm("ln_in", "self_attn_layer_norm", "hidden_size"),
    *(row for part in "qkv" for row in linear(f"attn_inter_{part}", f"encoder_attn.{part}_proj", SQUARE)),
    *linear("proj_inter", "encoder_attn.out_proj", SQUARE),
    *norm("ln_inter", "encoder_attn_layer_norm", "hidden_size"),
    *FFNS["decoder_intermediate_size"],
)
TABLE, PADDED = "pos_embed_layer._embed.weight", "embed_positions.weight"
WHY_PADDED = "transformers leaves two rows free in front of its positions"
ROWS = (
    rename("src_embed_layer.weight", "model.shared.weight", WORDS),
    tied("tgt_embed_layer.weight", tied_to="src_embed_layer.weight", axes=WORDS, why="one matrix for both languages"),
    tied("tgt_final_layer.weight", tied_to="src_embed_layer.weight", axes=WORDS, why="the output layer is tied"),
    fill("final_logits_bias", "1 vocab_size", 0.0, why="the output layer has no bias"),
    *onto(
        "model.",
        (
            pad(f"src_{TABLE}", f"encoder.{PADDED}", "max_positions hidden_size", rows=2, why=WHY_PADDED),
            *norm("encoder.ln_data", "encoder.layernorm_embedding", "hidden_size"),
            *under("encoder.layers.{layer}.", onto("encoder.layers.{layer}.", ENCODER_LAYER)),
            pad(f"tgt_{TABLE}", f"decoder.{PADDED}", "max_target_positions hidden_size", rows=2, why=WHY_PADDED),
            *norm("decoder.ln_data", "decoder.layernorm_embedding", "hidden_size"),
            *under("decoder.layers.{decoder_layer}.", onto("decoder.layers.{decoder_layer}.", DECODER_LAYER)),
        ),
    ),
)
ONE_LENGTH = {("max_positions", "max_target_positions"): "transformers has one length for source and target"}
BASE = {"layers": 6, "decoder_layers": 6, "hidden_size": 768, "intermediate_size": 3072, "max_positions": 1024}
LARGE = {"layers": 12, "decoder_layers": 12, "hidden_size": 1024, "intermediate_size": 4096, "max_positions": 1024}

FAMILY = Family(
    name="bart",
    title="BART",
    tables=(Table("encoder and decoder", ROWS, (("BartForConditionalGeneration",),), equal_sizes=ONE_LENGTH),),
    variants=(
        Variant("fairseq_bart_base", BASE, {"attention_heads": 12}, frozenset({51201})),
        Variant("fairseq_bart_large", LARGE, {"attention_heads": 16}, frozenset({50265})),
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-5, **TOKEN_IDS},
    config=(
        ConfigKey("model_type", constant="bart"),
        ConfigKey("vocab_size", "vocab_size"),
        ConfigKey("d_model", "hidden_size"),
        ConfigKey("encoder_layers", "layers"),
        ConfigKey("decoder_layers", "decoder_layers"),
        *(ConfigKey(f"{stack}_attention_heads", "attention_heads", default=16) for stack in STACKS),
        ConfigKey("encoder_ffn_dim", "intermediate_size"),
        ConfigKey("decoder_ffn_dim", "decoder_intermediate_size"),
        ConfigKey("max_position_embeddings", "max_positions"),
        ConfigKey("activation_function", "hidden_act", default="gelu"),
        ConfigKey("scale_embedding", constant=False),
        ConfigKey("tie_word_embeddings", constant=True),
        *(ConfigKey(name, name) for name in TOKEN_IDS),
        ConfigKey("decoder_start_token_id", "eos_token_id"),
        ConfigKey("forced_eos_token_id", "eos_token_id"),
    ),
    base="model.",
    base_class="BartModel",
    tokenizer="RoBERTa",
    aliases=dict.fromkeys((*(f"{stack}.embed_tokens.weight" for stack in STACKS), "lm_head.weight"), "shared.weight"),
    versions=GLUONNLP_1,
    choices=CHOICES,
    pooler=False,
    mxnet_module="gluon1",
    layout=BART_LAYOUT,
)
