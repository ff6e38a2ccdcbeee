"""XLNet (scripts of gluonnlp 0.8 to 0.10): relative positions, segments as a relation of two tokens, one stream.

Source: dmlc/gluon-nlp, scripts/language_model/transformer/model.py, xlnet_cased_l12_h768_a12.
"""

from bort_convert.dtypes import Hyperparameter
from bort_convert.mapping.family import ConfigKey, Family, ModuleLayout, Variant
from bort_convert.models._xlnet_forms import TABLES

BASE = {"layers": 12, "intermediate_size": 3072, "hidden_size": 768, "attention_heads": 12}
LARGE = {"layers": 24, "intermediate_size": 4096, "hidden_size": 1024, "attention_heads": 16}
TOKEN_IDS: dict[str, Hyperparameter] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 5}

FAMILY = Family(
    name="xlnet",
    title="XLNet",
    tables=TABLES,
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
