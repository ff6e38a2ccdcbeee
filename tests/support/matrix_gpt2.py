# ruff: noqa: SLF001 - the names in the script begin with "_"
"""GPT-2 for the MXNet side of the matrix, written from GluonNLP's script, with its names.

Source: dmlc/gluon-nlp v0.8.3, scripts/text_generation/model/gpt.py.
"""

from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
from gluonnlp.model.attention_cell import DotProductAttentionCell
from gluonnlp.model.block import GELU
from matrix_shapes import Batch, Outputs, Shape
from mxnet.gluon import Block, HybridBlock, nn


class GPT2SelfAttentionLayer(Block):  # type: ignore[misc]
    """One matrix for queries, keys and values; no token reads a later one."""

    def __init__(self, units: int, heads: int, prefix: str) -> None:
        super().__init__(prefix=prefix)
        self._num_heads = heads
        with self.name_scope():
            self._multi_head_qkv_proj = nn.Dense(3 * units, flatten=False, prefix="qkv_proj_")
            self._base_attn_cell = DotProductAttentionCell(scaled=True, prefix="attn_")
            self._out_proj = nn.Dense(units, flatten=False, prefix="out_proj_")

    def forward(self, data: Any) -> Any:  # noqa: ANN401 - NDArrays
        batch, length, _ = data.shape
        places = mx.nd.arange(length)
        mask = mx.nd.broadcast_lesser_equal(places.reshape((1, -1)), places.reshape((-1, 1)))
        mask = mx.nd.broadcast_axes(mask.expand_dims(0), axis=0, size=batch * self._num_heads)
        parts = mx.nd.split(self._multi_head_qkv_proj(data), num_outputs=3, axis=2)
        context, _ = self._base_attn_cell(*map(self.by_head, parts), mask)
        context = context.reshape((batch, self._num_heads, length, -1)).transpose((0, 2, 1, 3))
        return self._out_proj(context.reshape((batch, length, -1)))

    def by_head(self, values: Any) -> Any:  # noqa: ANN401
        """(batch, length, units) as (batch * heads, length, units / heads)."""
        batch, length, _ = values.shape
        split = values.reshape((batch, length, self._num_heads, -1)).transpose((0, 2, 1, 3))
        return split.reshape((batch * self._num_heads, length, -1))


class GPT2FFNLayer(HybridBlock):  # type: ignore[misc]
    def __init__(self, units: int, prefix: str, *, exact: bool) -> None:
        super().__init__(prefix=prefix)
        with self.name_scope():
            self._hidden_map = nn.Dense(4 * units, flatten=False)
            self._out_map = nn.Dense(units, flatten=False)
            self._act = GELU()
        self._act._support_erf = exact

    def hybrid_forward(self, _F: object, data: Any) -> Any:  # noqa: ANN401, N803
        return self._out_map(self._act(self._hidden_map(data)))


class GPT2Model(Block):  # type: ignore[misc]
    """Token and position embeddings, layers with their norms in front, a norm, and the tied output matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        with self.name_scope():
            self._pos_embed = nn.Embedding(shape.positions, shape.hidden, prefix="pos_embed_")
            self._embed = nn.Embedding(shape.vocab, shape.hidden, prefix="embed_")
            self._logits_proj = nn.Dense(
                shape.vocab, in_units=shape.hidden, use_bias=False, flatten=False, params=self._embed.params
            )
            self._self_attention_layers, self._ffn_layers = nn.Sequential(), nn.HybridSequential()
            self._attn_ln, self._ffn_ln = nn.HybridSequential(), nn.HybridSequential()
            for number in range(shape.layers):
                self._self_attention_layers.add(
                    GPT2SelfAttentionLayer(shape.hidden, shape.heads, f"self_attn{number}_")
                )
                self._ffn_layers.add(GPT2FFNLayer(shape.hidden, f"ffn{number}_", exact=shape.activation == "gelu"))
                self._attn_ln.add(nn.LayerNorm(epsilon=shape.epsilon, prefix=f"attn_ln{number}_"))
                self._ffn_ln.add(nn.LayerNorm(epsilon=shape.epsilon, prefix=f"ffn_ln{number}_"))
                self._final_ln = nn.LayerNorm(epsilon=shape.epsilon, prefix=f"final_ln{number}_")


class GPT2Network:
    def __init__(self, shape: Shape) -> None:
        self.block = GPT2Model(shape)

    def settle(self) -> None:
        """Give the parameters their shapes."""
        self.run(Batch(np.ones((1, 2)), np.zeros((1, 2)), np.array([2])))

    def run(self, batch: Batch) -> Outputs:
        """The hidden states, the last behind the last norm, and the logits; padding stands on the right."""
        net, places = self.block, mx.nd.arange(batch.ids.shape[1]).expand_dims(0)
        hidden = mx.nd.broadcast_add(net._embed(mx.nd.array(batch.ids)), net._pos_embed(places))
        states = {"embeddings": hidden.asnumpy()}
        last = len(net._ffn_layers) - 1
        for number in range(last + 1):
            hidden = hidden + net._self_attention_layers[number](net._attn_ln[number](hidden))
            hidden = hidden + net._ffn_layers[number](net._ffn_ln[number](hidden))
            hidden = net._final_ln(hidden) if number == last else hidden
            states[f"layer{number}"] = hidden.asnumpy()
        return {**states, "lm_logits": net._logits_proj(hidden).asnumpy()}
