"""ALBERT (GluonNLP 1.0): a BERT encoder with narrow embeddings, whose layers share the weights of one or more groups.

No name and no shape shows the number of layers.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/models/albert.py; transformers 5.23,
models/albert/modeling_albert.py.
"""

from bort_convert.dtypes import Hyperparameter
from bort_convert.mapping.family import GLUONNLP_1, ConfigKey, Family, ModuleLayout, Table, Variant
from bort_convert.mapping.rows import fill, linear, norm, onto, optional, rename, split, under
from bort_convert.models import _numpy_encoder as shared
from bort_convert.models._encoder import ALIASES
from bort_convert.models._numpy_encoder import EMBEDDINGS, FUSED, NO_SENTENCE_HEAD, POOLER, PROJECTIONS, SQUARE

WIDTH = "embedding_size"
GROUP = (
    split("attn_qkv.weight", [f"attention.{part}.weight" for part in PROJECTIONS], FUSED),
    split("attn_qkv.bias", [f"attention.{part}.bias" for part in PROJECTIONS], "3*hidden_size"),
    *linear("attention_proj", "attention.dense", SQUARE),
    *norm("layer_norm", "attention.LayerNorm", "hidden_size"),
    *linear("ffn.ffn_1", "ffn", "intermediate_size hidden_size"),
    *linear("ffn.ffn_2", "ffn_output", "hidden_size intermediate_size"),
    *norm("ffn.layer_norm", "full_layer_layer_norm", "hidden_size"),
)
GROUPS = onto("encoder.albert_layer_groups.{group}.albert_layers.0.", GROUP)
PROJECTION = linear("embed_factorized_proj", "encoder.embedding_hidden_mapping_in", f"hidden_size {WIDTH}")
BACKBONE = onto("albert.", (*EMBEDDINGS[WIDTH], *PROJECTION, *under("encoder.all_encoder_groups.{group}.", GROUPS)))
POOLING = linear("pooler", "albert.pooler", SQUARE)
HEAD = (
    *linear("mlm_decoder.0", "predictions.dense", f"{WIDTH} hidden_size"),
    *norm("mlm_decoder.2", "predictions.LayerNorm", WIDTH),
    rename("mlm_decoder.3.bias", "predictions.bias", "vocab_size"),
    shared.TIED_OUTPUT[WIDTH],
)
SENTENCES = linear("sop_classifier", "sop_classifier.classifier", "2 hidden_size")
ZEROS = tuple(
    fill(f"sop_classifier.classifier.{part}", axes, 0.0, why=NO_SENTENCE_HEAD)
    for part, axes in {"weight": "2 hidden_size", "bias": "2"}.items()
)
POOLED, MASKED_LM = (*BACKBONE, *POOLING), "masked language model"
FORMS = {
    "backbone": ((*BACKBONE, *optional(POOLER, POOLING)), (("AlbertModel", POOLER), ("AlbertModel",))),
    "pretraining": ((*under(shared.BACKBONE_MODEL, POOLED), *SENTENCES, *HEAD), (("AlbertForPreTraining",),)),
    MASKED_LM: (
        (
            *under(shared.BACKBONE_MODEL, BACKBONE),
            *optional(POOLER, under(shared.BACKBONE_MODEL, POOLING), ZEROS),
            *HEAD,
        ),
        (("AlbertForPreTraining", POOLER), ("AlbertForMaskedLM",)),
    ),
    "classifier": ((*under(shared.FINE_TUNED, POOLED), *shared.CLASSIFIER), (("AlbertForSequenceClassification",),)),
    "question answering": ((*under(shared.FINE_TUNED, BACKBONE), *shared.SPANS), (("AlbertForQuestionAnswering",),)),
    shared.CONDITIONAL_SPANS: ((*under(shared.FINE_TUNED, BACKBONE), *shared.CONDITIONAL), ()),
}
SIZES = {  # widths, heads and layers
    "base": (768, 3072, 12, 12), "large": (1024, 4096, 16, 24), "xlarge": (2048, 8192, 32, 24),
    "xxlarge": (4096, 16384, 64, 12),
}  # fmt: skip
TOKEN_IDS: dict[str, Hyperparameter] = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}  # [CLS] and [SEP]

FAMILY = Family(
    name="albert",
    title="ALBERT",
    tables=tuple(
        Table(title, rows, classes, refusal="" if classes else shared.WHY_NOT_CONDITIONAL)
        for title, (rows, classes) in FORMS.items()
    ),
    variants=tuple(
        Variant(
            f"google_albert_{name}_v2",
            {"hidden_size": units, "intermediate_size": inner, WIDTH: 128, "groups": 1, "max_positions": 512},
            {"attention_heads": heads, "layers": layers},
            frozenset({30000}),
        )
        for name, (units, inner, heads, layers) in SIZES.items()
    ),
    hyperparameters={"hidden_act": "gelu_new", "layer_norm_eps": 1e-12, **TOKEN_IDS},
    config=(
        ConfigKey("model_type", constant="albert"),
        *(key for key in shared.ENCODER_CONFIG if not key.name.endswith("dropout_prob")),
        *(ConfigKey(f"{part}_dropout_prob", constant=0.0) for part in ("hidden", "attention_probs")),
        ConfigKey("embedding_size", WIDTH, default=128),
        ConfigKey("num_hidden_groups", "groups", default=1),
        *(ConfigKey(name, name) for name in TOKEN_IDS if name != "pad_token_id"),
    ),
    base="albert.",
    base_class="AlbertModel",
    tokenizer="ALBERT",
    aliases=ALIASES,
    versions=GLUONNLP_1,
    choices=shared.CHOICES,
    mxnet_module="gluon1",
    layout=ModuleLayout(layers="encoder.albert_layer_groups", projection="encoder.embedding_hidden_mapping_in"),
)
