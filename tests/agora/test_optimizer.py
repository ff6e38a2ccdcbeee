from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.torch

STEPS = 12
RATES = [3e-3, 1e-3, 2e-2]


def gradients_of(rng: np.random.Generator, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Gradients of very different size, and one that is zero."""
    scales = 10.0 ** rng.uniform(-6, 1, STEPS)
    scales[3] = 0
    return [(scale * rng.standard_normal(shape)).astype("float32") for scale in scales]


@pytest.mark.mxnet
@pytest.mark.parametrize("decay", [0.0, 0.01, 350.0])
def test_steps_are_those_of_gluonnlp(decay: float) -> None:
    import torch
    from gluon_models import mx
    from gluonnlp.optimizer import BERTAdam

    from bort_convert.agora.optimizer import BertAdam

    rng = np.random.default_rng(7)
    start = rng.standard_normal((5, 7)).astype("float32")
    theirs, reference = mx.nd.array(start), BERTAdam(learning_rate=1.0, epsilon=1e-6, wd=decay)
    state = reference.create_state(0, theirs)
    ours = torch.nn.Parameter(torch.tensor(start))
    optimizer = BertAdam([ours], lr=1.0, weight_decay=decay)
    for step, gradient in enumerate(gradients_of(rng, start.shape)):
        rate = RATES[step % len(RATES)] / max(1.0, decay)
        reference.set_learning_rate(rate)
        reference.update(0, theirs, mx.nd.array(gradient), state)
        optimizer.param_groups[0]["lr"] = rate
        ours.grad = torch.tensor(gradient)
        optimizer.step()
        np.testing.assert_allclose(ours.detach().numpy(), theirs.asnumpy(), rtol=2e-6, atol=2e-7)
        for name, moment in zip(("mean", "variance"), map(mx.nd.NDArray.asnumpy, state), strict=True):
            largest = np.abs(moment).max()
            np.testing.assert_allclose(optimizer.state[ours][name].numpy(), moment, rtol=1e-6, atol=1e-6 * largest)
    assert np.abs(ours.detach().numpy() - start).max() > 0.01


@pytest.mark.mxnet
def test_gradients_are_clipped_as_gluonnlp_clips_them() -> None:
    import torch
    from gluon_models import mx
    from gluonnlp.utils import clip_grad_global_norm

    from bort_convert.agora.optimizer import clip_gradients

    rng = np.random.default_rng(8)
    for scale in (0.01, 30.0):
        arrays = [(scale * rng.standard_normal(shape)).astype("float32") for shape in ((4, 3), (6,))]
        parameters = [mx.gluon.Parameter(f"w{number}", shape=array.shape) for number, array in enumerate(arrays)]
        ours = [torch.nn.Parameter(torch.zeros(array.shape)) for array in arrays]
        for parameter, weight, array in zip(parameters, ours, arrays, strict=True):
            parameter.initialize()
            parameter.grad()[:] = mx.nd.array(array)
            weight.grad = torch.tensor(array)
        clip_grad_global_norm(parameters, 1)
        norm = clip_gradients(ours)
        assert norm == pytest.approx(np.sqrt(sum((array**2).sum() for array in arrays)), rel=1e-6)
        for parameter, weight in zip(parameters, ours, strict=True):
            np.testing.assert_allclose(weight.grad.numpy(), parameter.grad().asnumpy(), rtol=3e-6)


def test_it_is_not_the_adam_with_bias_correction() -> None:
    import torch

    from bort_convert.agora.optimizer import BertAdam

    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.full((3,), 2.0)
    BertAdam([weight], lr=0.1).step()
    expected = -0.1 * (0.1 * 2) / (np.sqrt(0.001 * 4) + 1e-6)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-5)


def test_biases_and_layer_norms_do_not_decay_and_frozen_weights_are_in_no_group() -> None:
    import torch

    from bort_convert.agora.optimizer import parameter_groups

    model = torch.nn.Sequential(torch.nn.Embedding(4, 3), torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
    model[0].weight.requires_grad_(requires_grad=False)
    decaying, spared = parameter_groups(model, 0.5)
    assert decaying["weight_decay"] == 0.5
    assert spared["weight_decay"] == 0.0
    assert [id(values) for values in decaying["params"]] == [id(model[1].weight)]
    assert {id(values) for values in spared["params"]} == {id(model[1].bias), *map(id, model[2].parameters())}


def test_the_rate_rises_falls_and_stays_at_its_floor_after_the_ramp_up() -> None:
    from bort_convert.agora.optimizer import rate_at

    rates = [rate_at(step, peak=1e-3, warmup=0.4, ramp_up_steps=10) for step in range(1, 15)]
    rising, falling = [2.5e-4, 5e-4, 7.5e-4], [1e-3, 8.333333e-4, 6.666667e-4, 5e-4, 3.333333e-4, 1.666667e-4]
    assert rates == pytest.approx([*rising, *falling, *[1e-7] * 5], rel=1e-5)
    assert rate_at(1, peak=1e-3, warmup=0.0, ramp_up_steps=1) == 1e-7
