# ruff: noqa: SLF001 - the names in the script begin with "_"
"""XLNet for the MXNet side of the matrix: the parameters under the names of GluonNLP's script, the sums in NumPy.

The blocks hold and save parameters. What they compute is written once more, in float64 and without MXNet's operators.

Source: dmlc/gluon-nlp v0.10.0, scripts/language_model/transformer/transformer.py and attention_cell.py.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import mxnet as mx
import numpy as np
from gluonnlp.model.transformer import PositionwiseFFN
from mxnet.gluon import Block, HybridBlock, nn

if TYPE_CHECKING:
    from matrix_shapes import Array, Batch, Outputs, Shape

EPSILON = 1e-12


class PositionalEmbedding(HybridBlock):  # type: ignore[misc] # mxnet has no types; the classes' names are in prefixed names
    def __init__(self, units: int) -> None:
        super().__init__()
        with self.name_scope():
            frequencies = 1 / mx.nd.power(10000, mx.nd.arange(0.0, units, 2.0) / units)
            self.inv_freq = self.params.get_constant("inv_freq", frequencies.reshape((1, -1)))


class RelativeSegmentEmbeddingPositionalEmbeddingMultiHeadAttentionCell(HybridBlock):  # type: ignore[misc]
    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        with self.name_scope():
            for name in ("query", "key", "value", "emb"):
                dense = nn.Dense(
                    heads * width, in_units=heads * width, use_bias=False, flatten=False, prefix=f"{name}_"
                )
                setattr(self, f"proj_{name}", dense)
            for name in ("query_key_bias", "query_emb_bias", "query_seg_bias"):
                setattr(self, name, self.params.get(name, shape=(heads, width)))
            self.seg_emb = self.params.get("seg_emb", shape=(2, heads, width))


class XLNetCell(HybridBlock):  # type: ignore[misc]
    """One layer; its attention is made outside of its name scope."""

    def __init__(self, attention_cell: Block, shape: Shape, prefix: str) -> None:
        super().__init__(prefix=prefix)
        units = shape.hidden
        with self.name_scope():
            self.attention_cell = attention_cell
            self.proj = nn.Dense(units, in_units=units, flatten=False, use_bias=False, prefix="proj_")
            self.ffn = PositionwiseFFN(units=units, hidden_size=shape.intermediate, layer_norm_eps=EPSILON)
            self.layer_norm = nn.LayerNorm(in_channels=units, epsilon=EPSILON)


class _BaseXLNet(HybridBlock):  # type: ignore[misc]
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.hidden // shape.heads
        cell = RelativeSegmentEmbeddingPositionalEmbeddingMultiHeadAttentionCell
        with self.name_scope():
            self.word_embed = nn.Embedding(shape.vocab, shape.hidden)
            if not shape.form.endswith("without_mask"):
                self.mask_embed = self.params.get("mask_embed", shape=(1, 1, shape.hidden))
            self.pos_embed = PositionalEmbedding(shape.hidden)
            self.transformer_cells = nn.HybridSequential()
            for number in range(shape.layers):
                self.transformer_cells.add(XLNetCell(cell(shape.heads, width), shape, f"transformer{number}_"))
            if shape.form.startswith("language_model"):
                self.decoder = nn.Dense(
                    shape.vocab, in_units=shape.hidden, flatten=False, params=self.word_embed.params
                )


class XLNet(Block):  # type: ignore[misc]
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        with self.name_scope():
            self._net = _BaseXLNet(shape)


class XLNetNetwork:
    """An XLNet without a memory and with one stream."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.block = shape, XLNet(shape)

    def settle(self) -> None:
        """Give the parameters their shapes."""
        for cell in self.block._net.transformer_cells:
            cell.ffn(mx.nd.ones((1, 1, self.shape.hidden)))

    def run(self, batch: Batch) -> Outputs:
        """The hidden states, and the logits where there is a decoder; a token reads the valid tokens of its row."""
        net = self.block._net
        differ = (batch.types[:, :, None] != batch.types[:, None, :]).astype(int)
        hidden = values_of(net.word_embed.weight)[batch.ids.astype(int)]
        states = {"embeddings": hidden}
        positions = self.positions(batch.ids.shape[1])
        for number, cell in enumerate(net.transformer_cells):
            read = attended(cell.attention_cell, hidden, positions, differ, batch.valid)
            hidden = normalized(cell.layer_norm, linear(cell.proj, read) + hidden)
            wide = activated(linear(cell.ffn.ffn_1, hidden), self.shape.activation)
            hidden = normalized(cell.ffn.layer_norm, linear(cell.ffn.ffn_2, wide) + hidden)
            states[f"layer{number}"] = hidden
        return {**states, "lm_logits": linear(net.decoder, hidden)} if hasattr(net, "decoder") else states

    def positions(self, length: int) -> Array:
        """Sinusoids of each query's distance from each key, (query, key, units).

        With `clamp` the script clips a distance at 0 too: a token that reads a later one takes it for itself.
        """
        distances = (np.arange(length)[:, None] - np.arange(length)).astype("float64")
        if self.shape.clamp:
            distances = distances.clip(0, self.shape.clamp)
        units = self.shape.hidden
        angles = distances[..., None] / 10000 ** (np.arange(0, units, 2) / units)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def attended(cell: Any, hidden: Array, positions: Array, differ: Array, valid: Array) -> Array:  # noqa: ANN401 - a block
    """What each token reads, (batch, length, units): scores by content, by distance, and by segment."""
    heads, width = cell.query_key_bias.shape

    def by_head(dense: Any, values: Array) -> Array:  # noqa: ANN401
        projected = linear(dense, values)
        return projected.reshape(*projected.shape[:-1], heads, width)

    query, key, value = (by_head(dense, hidden) for dense in (cell.proj_query, cell.proj_key, cell.proj_value))
    distance = by_head(cell.proj_emb, positions)
    score = np.einsum("bqhw,bkhw->bhqk", query + values_of(cell.query_key_bias), key)
    score += np.einsum("bqhw,qkhw->bhqk", query + values_of(cell.query_emb_bias), distance)
    segment = np.einsum("bqhw,shw->bhqs", query + values_of(cell.query_seg_bias), values_of(cell.seg_emb))
    score += np.take_along_axis(segment, differ[:, None], axis=-1)
    score = np.where(valid[:, None, None, :], score / math.sqrt(width), -1e18)
    weights = np.exp(score - score.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhqk,bkhw->bqhw", weights, value).reshape(hidden.shape)


def values_of(parameter: Any) -> Array:  # noqa: ANN401 - mxnet has no types
    return parameter.data().asnumpy().astype("float64")  # type: ignore[no-any-return]


def linear(dense: Any, values: Array) -> Array:  # noqa: ANN401
    bias = 0.0 if dense.bias is None else values_of(dense.bias)
    return values @ values_of(dense.weight).T + bias  # type: ignore[no-any-return]


def normalized(norm: Any, values: Array) -> Array:  # noqa: ANN401
    centred = values - values.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    return centred / scale * values_of(norm.gamma) + values_of(norm.beta)  # type: ignore[no-any-return]


def activated(values: Array, activation: str) -> Array:
    """GELU, by the error function or by tanh."""
    if activation == "gelu":
        return values * 0.5 * (1 + np.vectorize(math.erf)(values / math.sqrt(2)))  # type: ignore[no-any-return]
    return values * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)))  # type: ignore[no-any-return]
