"""mT5 (GluonNLP 1.0): T5's network with gated feed-forward layers; its output matrix was not converted into GluonNLP.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/mt5.py and layers.py, PositionwiseFFN.
"""

from dataclasses import replace

from bort_convert.mapping.family import ConfigKey, Table, Variant
from bort_convert.models.t5 import AXES, ROWS
from bort_convert.models.t5 import FAMILY as T5

CHANGED = {"model_type": "mt5", "feed_forward_proj": "gated-gelu"}
SIZES = {
    "google_mt5_small": (8, 512, 1024, 6, 64),
    "google_mt5_base": (12, 768, 2048, 12, 64),
    "google_mt5_large": (24, 1024, 2816, 16, 64),
    "google_mt5_xl": (24, 2048, 5120, 32, 64),
    "google_mt5_xxl": (24, 4096, 10240, 64, 64),
}

FAMILY = replace(
    T5,
    name="mt5",
    title="mT5",
    tables=(Table("encoder and decoder", ROWS["gated-gelu"], (("MT5Model",),)),),
    variants=tuple(
        Variant(name, dict(zip(AXES, sizes, strict=True)), {}, frozenset({250112})) for name, sizes in SIZES.items()
    ),
    config=tuple(
        ConfigKey(key.name, constant=CHANGED[key.name]) if key.name in CHANGED else key
        for key in T5.config
        if key.name not in {"scale_decoder_outputs", "tie_word_embeddings"}
    ),
    base_class="MT5Model",
)
