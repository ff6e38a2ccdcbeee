"""Rows that every form of an XLNet's checkpoints shares: words, the embedding of a mask, layers.

Source: dmlc/gluon-nlp v0.10.0, scripts/language_model/transformer/transformer.py, XLNet, and attention_cell.py; the
target names: transformers 5.23, models/xlnet/modeling_xlnet.py.
"""

from bort_convert.mapping.rows import fill, frequencies, linear, norm, rename, unfold

CELL, LAYER = "_net.transformer_cells.{layer}", "transformer.layer.{layer}"
ATTENTION, RELATIVE = f"{CELL}.attention_cell", f"{LAYER}.rel_attn"
MODEL, HEADS = "[xlnet#_]_basexlnet#_", "attention_heads head_dim"
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
BODY = (
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
)
