"""GPT-2 (scripts of gluonnlp 0.8 to 0.10): layers with their norms in front, a final norm, and a tied output layer.

Source: dmlc/gluon-nlp, scripts/text_generation/model/gpt.py, GPT2Model, gpt2_117m and gpt2_345m; the target names:
transformers 5.23, models/gpt2/modeling_gpt2.py, whose Conv1D holds a weight as (in, out).
"""

from bort_convert.mapping.family import ConfigKey, Family, ModuleLayout, Table, Variant
from bort_convert.mapping.rows import conv1d, norm, rename, tied

ATTENTION, FFN = "_self_attention_layers.{layer}", "_ffn_layers.{layer}"
LAYER = "transformer.h.{layer}"
MODEL = "[gpt2model#_]"

LANGUAGE_MODEL = (
    rename("_embed.weight", "transformer.wte.weight", "vocab_size hidden_size", prefixed=f"{MODEL}embed_weight"),
    rename(
        "_pos_embed.weight", "transformer.wpe.weight", "max_positions hidden_size", prefixed=f"{MODEL}pos_embed_weight"
    ),
    *norm("_attn_ln.{layer}", f"{LAYER}.ln_1", "hidden_size", prefixed=f"{MODEL}attn_ln{{layer}}"),
    # Queries, keys and values are one matrix on both sides.
    *conv1d(
        f"{ATTENTION}._multi_head_qkv_proj",
        f"{LAYER}.attn.c_attn",
        "3*hidden_size hidden_size",
        prefixed=f"{MODEL}self_attn{{layer}}_qkv_proj",
    ),
    *conv1d(
        f"{ATTENTION}._out_proj",
        f"{LAYER}.attn.c_proj",
        "hidden_size hidden_size",
        prefixed=f"{MODEL}self_attn{{layer}}_out_proj",
    ),
    *norm("_ffn_ln.{layer}", f"{LAYER}.ln_2", "hidden_size", prefixed=f"{MODEL}ffn_ln{{layer}}"),
    *conv1d(
        f"{FFN}._hidden_map", f"{LAYER}.mlp.c_fc", "4*hidden_size hidden_size", prefixed=f"{MODEL}ffn{{layer}}_dense0"
    ),
    *conv1d(
        f"{FFN}._out_map", f"{LAYER}.mlp.c_proj", "hidden_size 4*hidden_size", prefixed=f"{MODEL}ffn{{layer}}_dense1"
    ),
    *norm("_final_ln", "transformer.ln_f", "hidden_size", prefixed=f"{MODEL}final_ln{{last}}"),
    tied("_logits_proj.weight", tied_to="_embed.weight", axes="vocab_size hidden_size", why="the output layer is tied"),
)

OPENAI = frozenset({50257})

FAMILY = Family(
    name="gpt2",
    title="GPT-2",
    tables=(Table("language model", LANGUAGE_MODEL, (("GPT2LMHeadModel",),)),),
    variants=(
        Variant(
            "gpt2_117m", {"layers": 12, "hidden_size": 768, "max_positions": 1024}, {"attention_heads": 12}, OPENAI
        ),
        Variant(
            "gpt2_345m", {"layers": 24, "hidden_size": 1024, "max_positions": 1024}, {"attention_heads": 16}, OPENAI
        ),
    ),
    # OpenAI trained with gelu_new, and so do the scripts' own gpt2_117m and gpt2_345m; code that builds the class by
    # itself may run the exact GELU. No file tells.
    hyperparameters={"hidden_act": "gelu_new", "layer_norm_eps": 1e-5, "bos_token_id": 50256, "eos_token_id": 50256},
    config=(
        ConfigKey("model_type", constant="gpt2"),
        ConfigKey("vocab_size", "vocab_size"),
        ConfigKey("n_positions", "max_positions"),
        ConfigKey("n_embd", "hidden_size"),
        ConfigKey("n_layer", "layers"),
        ConfigKey("n_head", "attention_heads", default=12),
        ConfigKey("activation_function", "hidden_act", default="gelu_new"),
        ConfigKey("layer_norm_epsilon", "layer_norm_eps", default=1e-5),
        ConfigKey("embd_pdrop", constant=0.0),
        ConfigKey("attn_pdrop", constant=0.0),
        ConfigKey("resid_pdrop", constant=0.0),
        ConfigKey("initializer_range", constant=0.02),
        ConfigKey("bos_token_id", "bos_token_id"),
        ConfigKey("eos_token_id", "eos_token_id"),
        ConfigKey("tie_word_embeddings", constant=True),
    ),
    base="transformer.",
    base_class="GPT2Model",
    mxnet_module="gpt2",
    tokenizer="GPT-2",
    layout=ModuleLayout(embeddings="drop", layers="h", positions="wpe", final_norm="ln_f"),
    choices={"hidden_act": ("gelu_new", "gelu")},
    pooler=False,
    aliases={"lm_head.weight": "wte.weight"},
)
