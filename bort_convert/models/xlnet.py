"""XLNet (scripts of gluonnlp 0.8 to 0.10): relative positions, segments as a relation of two tokens, one stream.

Source: dmlc/gluon-nlp, scripts/language_model/transformer/transformer.py, XLNet, attention_cell.py and model.py,
xlnet_cased_l12_h768_a12; the target names: transformers 5.23, models/xlnet/modeling_xlnet.py.
"""

from bort_convert.dtypes import Hyperparameter
from bort_convert.mapping.family import ConfigKey, Family, ModuleLayout, Table, Variant
from bort_convert.mapping.rows import fill, frequencies, linear, norm, optional, rename, tied, unfold

CELL, LAYER = "_net.transformer_cells.{layer}", "transformer.layer.{layer}"
ATTENTION, RELATIVE = f"{CELL}.attention_cell", f"{LAYER}.rel_attn"
MODEL, HEADS, HEAD = "[xlnet#_]_basexlnet#_", "attention_heads head_dim", "language-model head"
BLOCK, WORDS = f"{MODEL}transformer{{layer}}", f"{MODEL}embedding#"
FFN, SINUSOIDS = f"{BLOCK}_positionwiseffn#", f"{MODEL}positionalembedding#"
# The script makes the attention cell before its layer, so the layer's prefix is missing here.
ATTENTION_BLOCK = f"{MODEL}relativesegmentembeddingpositionalembeddingmultiheadattentioncell{{layer}}"
WORD_AXES, SQUARE, MASK_AXES = "vocab_size hidden_size", "hidden_size hidden_size", "1 1 hidden_size"
SAME_SHAPE = {
    "query_key_bias": ("r_w_bias", HEADS),
    "query_emb_bias": ("r_r_bias", HEADS),
    "query_seg_bias": ("r_s_bias", HEADS),
    "seg_emb": ("seg_embed", f"type_vocab_size {HEADS}"),
}
PROJECTIONS = {"query": "q", "key": "k", "value": "v", "emb": "r"}

MASK = rename("_net.mask_embed", "transformer.mask_emb", MASK_AXES, prefixed=f"{MODEL}mask_embed")
NO_MASK = fill("transformer.mask_emb", MASK_AXES, 0.0, why="only a second stream reads it, and GluonNLP has none")
REST = (
    rename("_net.word_embed.weight", "transformer.word_embedding.weight", WORD_AXES, prefixed=f"{WORDS}_weight"),
    frequencies("_net.pos_embed.inv_freq", "1 hidden_size/2", why="it is computed", prefixed=f"{SINUSOIDS}_inv_freq"),
    *(
        rename(f"{ATTENTION}.{ours}", f"{RELATIVE}.{theirs}", axes, prefixed=f"{ATTENTION_BLOCK}_{ours}")
        for ours, (theirs, axes) in SAME_SHAPE.items()
    ),
    *(
        unfold(
            f"{ATTENTION}.proj_{ours}.weight",
            f"{RELATIVE}.{theirs}",
            SQUARE,
            HEADS,
            first=True,
            prefixed=f"{ATTENTION_BLOCK}_{ours}_weight",
        )
        for ours, theirs in PROJECTIONS.items()
    ),
    unfold(f"{CELL}.proj.weight", f"{RELATIVE}.o", SQUARE, HEADS, prefixed=f"{BLOCK}_proj_weight"),
    *norm(f"{CELL}.layer_norm", f"{RELATIVE}.layer_norm", "hidden_size", prefixed=f"{BLOCK}_layernorm#"),
    *linear(f"{CELL}.ffn.ffn_1", f"{LAYER}.ff.layer_1", "intermediate_size hidden_size", prefixed=f"{FFN}_ffn_1"),
    *linear(f"{CELL}.ffn.ffn_2", f"{LAYER}.ff.layer_2", "hidden_size intermediate_size", prefixed=f"{FFN}_ffn_2"),
    *norm(f"{CELL}.ffn.layer_norm", f"{LAYER}.ff.layer_norm", "hidden_size", prefixed=f"{FFN}_layernorm#"),
    *optional(
        HEAD,
        rename("_net.decoder.bias", "lm_loss.bias", "vocab_size", prefixed=f"{WORDS}_bias"),
        tied("_net.decoder.weight", tied_to="_net.word_embed.weight", axes=WORD_AXES, why="the output is tied"),
    ),
)
CLASSES = (("XLNetModel",), ("XLNetLMHeadModel", HEAD))
BASE = {"layers": 12, "intermediate_size": 3072, "hidden_size": 768, "attention_heads": 12}
LARGE = {"layers": 24, "intermediate_size": 4096, "hidden_size": 1024, "attention_heads": 16}
TOKEN_IDS: dict[str, Hyperparameter] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 5}

FAMILY = Family(
    name="xlnet",
    title="XLNet",
    tables=(
        Table("language model", (MASK, *REST), CLASSES),
        Table("language model, no mask", (NO_MASK, *REST), CLASSES),
    ),
    variants=(
        Variant("xlnet_cased_l12_h768_a12", BASE, {"hidden_act": "gelu"}),
        Variant("xlnet_cased_l24_h1024_a16", LARGE, {"hidden_act": "gelu_new"}),
    ),
    hyperparameters={"hidden_act": "gelu_new", "layer_norm_eps": 1e-12, "clamp_len": -1, **TOKEN_IDS},
    config=(
        ConfigKey("model_type", constant="xlnet"),
        ConfigKey("vocab_size", "vocab_size"),
        ConfigKey("d_model", "hidden_size"),
        ConfigKey("n_layer", "layers"),
        ConfigKey("n_head", "attention_heads"),
        ConfigKey("d_head", "head_dim"),
        ConfigKey("d_inner", "intermediate_size"),
        ConfigKey("ff_activation", "hidden_act", default="gelu"),
        ConfigKey("layer_norm_eps", "layer_norm_eps", default=1e-12),
        *(ConfigKey(name, constant=value) for name, value in {"attn_type": "bi", "bi_data": False}.items()),
        ConfigKey("clamp_len", constant=-1),  # GluonNLP clamps distances to [0, n], XLNetConfig to [-n, n]
        ConfigKey("dropout", constant=0.1),
        ConfigKey("initializer_range", constant=0.02),
        ConfigKey("tie_word_embeddings", constant=True),
        *(ConfigKey(name, name) for name in TOKEN_IDS),
    ),
    base="transformer.",
    base_class="XLNetModel",
    mxnet_module="xlnet",
    tokenizer="XLNet",
    layout=ModuleLayout("word_embedding", "layer", positions="", batch_axis=1, sinusoids="positional_embedding"),
    choices={"hidden_act": ("gelu_new", "gelu", "relu", "tanh")},
    pooler=False,
    aliases={"lm_loss.weight": "word_embedding.weight"},
)
