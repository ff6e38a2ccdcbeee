"""BERTAdam, the optimiser that Bort was fine-tuned with, and its schedule.

It differs from torch's AdamW: moments are not corrected for their start at zero, so that the first steps are larger.
With gradient g, rate r and decay d, all element by element::

    m = beta1 m + (1 - beta1) g
    v = beta2 v + (1 - beta2) g^2
    w = w - r (m / (sqrt(v) + epsilon) + d w)

Source: gluonnlp 0.8.3, optimizer/bert_adam.py; alexa/bort 05adebf, finetune_bort.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NO_DECAY: Final = ("bias", "gamma", "beta")
"""Ends of the names of parameters that do not decay, as MXNet calls them; see `parameter_groups`."""
LOWEST_RATE: Final = 1e-7
LARGEST_NORM: Final = 1.0


class BertAdam(torch.optim.Optimizer):
    """Adam with decoupled decay and without bias correction, in the precision of the parameters.

    Args:
        groups: parameters, or groups of them with `weight_decay` of their own.
        lr: rate; a schedule changes it before each step.
        weight_decay: share of a weight that is taken away in each step, times the rate.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
    """

    def __init__(
        self,
        groups: Iterable[torch.Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override] # no closure is needed
        """Change every parameter that has a gradient."""
        assert closure is None, "one evaluation a step"
        for group in self.param_groups:
            (beta1, beta2), rate = map(_single, group["betas"]), group["lr"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["mean"], state["variance"] = torch.zeros_like(weight), torch.zeros_like(weight)
                mean, variance = state["mean"], state["variance"]
                mean.mul_(beta1).add_(weight.grad, alpha=1 - beta1)
                variance.mul_(beta2).addcmul_(weight.grad, weight.grad, value=1 - beta2)
                update = mean / (variance.sqrt() + group["eps"])
                weight.sub_(rate * update.add_(weight, alpha=group["weight_decay"]))


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: those that decay, and biases and LayerNorms, which do not."""
    spared = {
        id(values)
        for module in model.modules()
        for name, values in module.named_parameters(recurse=False)
        if name.endswith(NO_DECAY) or isinstance(module, torch.nn.LayerNorm)
    }
    trained = [values for values in model.parameters() if values.requires_grad]
    return [
        {"params": [values for values in trained if id(values) not in spared], "weight_decay": weight_decay},
        {"params": [values for values in trained if id(values) in spared], "weight_decay": 0.0},
    ]


def rate_at(step: int, *, peak: float, warmup: float, ramp_up_steps: int) -> float:
    """Rate of a step: it rises to the peak, falls to zero, and stays at `LOWEST_RATE` from there on.

    Args:
        step: number of the step, from 1.
        peak: the highest rate.
        warmup: share of the ramp-up in which the rate rises.
        ramp_up_steps: steps of rise and fall together; a trial may have more.
    """
    rising = int(ramp_up_steps * warmup)
    if step < rising:
        return peak * step / rising
    fallen = (step - rising) / max(1, ramp_up_steps - rising)
    return max(LOWEST_RATE, peak - fallen * peak)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all groups of parameters a rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(parameters: Iterable[torch.Tensor]) -> float:
    """Scale all gradients together to a norm of at most `LARGEST_NORM`; give the norm before."""
    return float(torch.nn.utils.clip_grad_norm_(list(parameters), LARGEST_NORM))


def _single(value: float) -> float:
    """A number as float32 holds it; 1 - 0.999 is another number there, by 1e-5 of itself, and MXNet computes so."""
    return float(torch.tensor(value, dtype=torch.float32))
