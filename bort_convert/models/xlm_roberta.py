"""XLM-R (GluonNLP 1.0): RoBERTa's network and names; only the vocabulary tells the two apart.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/xlmr.py.
"""

from dataclasses import replace

from bort_convert.mapping.family import ConfigKey, Variant
from bort_convert.models.roberta_1 import BASE, LARGE
from bort_convert.models.roberta_1 import FAMILY as ROBERTA

FAMILY = replace(
    ROBERTA,
    name="xlm-roberta",
    title="XLM-R",
    tables=tuple(
        replace(
            table,
            architectures=tuple(
                (name.replace("Roberta", "XLMRoberta"), *groups) for name, *groups in table.architectures
            ),
        )
        for table in ROBERTA.tables
        if table.title != "autogluon's model"
    ),
    variants=(
        Variant("fairseq_xlmr_base", {**BASE, "vocab_size": 250002}, {"attention_heads": 12}),
        Variant("fairseq_xlmr_large", {**LARGE, "vocab_size": 250002}, {"attention_heads": 16}),
    ),
    config=(ConfigKey("model_type", constant="xlm-roberta"), *ROBERTA.config[1:]),
    base_class="XLMRobertaModel",
    tokenizer="XLM-R",
)
