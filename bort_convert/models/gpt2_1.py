"""GPT-2 of GluonNLP 1.0: the network of 0.x with other names, alone or with its tied output layer.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/gpt2.py, GPT2Model and GPT2ForLM.
"""

from dataclasses import replace

from bort_convert.mapping.family import GLUONNLP_1, Table, Variant
from bort_convert.mapping.rows import conv1d, norm, onto, rename, tied, under
from bort_convert.models.gpt2 import FAMILY as OLDER

WORDS = "vocab_size hidden_size"
LAYER = (
    *norm("atten.ln", "ln_1", "hidden_size"),
    *conv1d("atten.qkv", "attn.c_attn", "3*hidden_size hidden_size"),
    *conv1d("atten.out_proj", "attn.c_proj", "hidden_size hidden_size"),
    *norm("ffn.layer_norm", "ln_2", "hidden_size"),
    *conv1d("ffn.ffn_1", "mlp.c_fc", "4*hidden_size hidden_size"),
    *conv1d("ffn.ffn_2", "mlp.c_proj", "hidden_size 4*hidden_size"),
)
BACKBONE = onto(
    "transformer.",
    (
        rename("_embed.weight", "wte.weight", WORDS),
        rename("_pos_embed._embed.weight", "wpe.weight", "max_positions hidden_size"),
        *under("_layers.{layer}.", onto("h.{layer}.", LAYER)),
        *norm("_final_ln", "ln_f", "hidden_size"),
    ),
)
OUTPUT = tied("_lm_head.weight", tied_to="_backbone_model._embed.weight", axes=WORDS, why="the output layer is tied")
# (layers, width, heads) of what was published.
SIZES = {
    "gpt2_124M": (12, 768, 12),
    "gpt2_355M": (24, 1024, 16),
    "gpt2_774M": (36, 1280, 20),
    "gpt2_1558M": (48, 1600, 25),
}

FAMILY = replace(
    OLDER,
    name="gpt2-1.0",
    title="GluonNLP 1.0's GPT-2",
    tables=(
        Table("backbone", BACKBONE, (("GPT2Model",),)),
        Table("language model", (*under("_backbone_model.", BACKBONE), OUTPUT), (("GPT2LMHeadModel",),)),
    ),
    variants=tuple(
        Variant(
            name,
            {"layers": layers, "hidden_size": width, "max_positions": 1024},
            {"attention_heads": heads},
            frozenset({50257}),
        )
        for name, (layers, width, heads) in SIZES.items()
    ),
    mxnet_module="gluon1",
    versions=GLUONNLP_1,
)
