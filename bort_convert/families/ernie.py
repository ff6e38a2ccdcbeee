"""ERNIE (gluonnlp 0.8 to 0.10): BERT's network with relu, another epsilon and 513 positions.

Its masked-language-model head keeps BERT's GELU. The names are BERT's own, so sizes or `--family` tell the two apart.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py, ernie_12_768_12_hparams and BERTModel._get_decoder.
"""

from bort_convert.families._encoder import PRODUCERS_OF_HEADS
from bort_convert.families.bert import FAMILY as BERT
from bort_convert.family import Family, Variant

FAMILY = Family(
    name="ernie",
    title="ERNIE",
    tables=BERT.tables,
    variants=(
        Variant("ernie_12_768_12", {"layers": 12, "hidden": 3072, "units": 768, "positions": 513}, {"heads": 12}),
    ),
    facts={"hidden_act": "relu", "layer_norm_eps": 1e-5, "head_layer_norm_eps": 1e-12, "head_hidden_act": "gelu"},
    config=BERT.config,
    base=BERT.base,
    base_class=BERT.base_class,
    tokenizer="WordPiece",
    seconds=BERT.seconds,
    producers=PRODUCERS_OF_HEADS,
    called=BERT.name,
)
