"""Modules of encoders and decoders in transformers, for `verify`.

Source: transformers 5.23, models/bart/modeling_bart.py and models/t5/modeling_t5.py.
"""

from bort_convert.mapping.family import ModuleLayout

BART_LAYOUT = ModuleLayout(
    embeddings="encoder.layernorm_embedding",
    layers="encoder.layers",
    positions="",
    decoder=ModuleLayout(embeddings="decoder.layernorm_embedding", layers="decoder.layers", positions=""),
)
T5_LAYOUT = ModuleLayout(
    embeddings="encoder.embed_tokens",
    layers="encoder.block",
    positions="",
    final_norm="encoder.final_layer_norm",
    float32_parts="norms",
    decoder=ModuleLayout(
        embeddings="decoder.embed_tokens",
        layers="decoder.block",
        positions="",
        final_norm="decoder.final_layer_norm",
    ),
)
