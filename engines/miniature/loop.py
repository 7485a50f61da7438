"""The training loop that the autoencoder and the UNet share: warm-up and cosine, averaged weights, checkpoints, a
progress line.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from torch import nn


class Plan(msgspec.Struct, frozen=True):
    """How long and how fast to train; `average` is the decay of the averaged weights a step."""

    steps: int
    learning_rate: float
    warm_up: int = 100
    average: float = 0.998
    weight_decay: float = 0.01
    clip: float = 1.0
    save_every: int = 100


def train(
    model: nn.Module,
    plan: Plan,
    loss_of: Callable[[nn.Module, torch.Generator], torch.Tensor],
    checkpoint: Path,
    sheet: Callable[[nn.Module, int], None],
) -> nn.Module:
    """Train what is not frozen until `plan.steps`, resuming from `checkpoint` when it exists; return the model with
    averaged weights.
    """
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=_average(plan.average))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, plan.learning_rate, (0.9, 0.98), weight_decay=plan.weight_decay, fused=True)
    device = next(model.parameters()).device.type
    first = _resume(checkpoint, model, averaged, optimiser)
    started, recent = time.monotonic(), 0.0
    for step in range(first, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.learning_rate * _pace(step, plan)
        # One generator a step: a resumed run draws what an uninterrupted one would have drawn.
        # In bfloat16 a step takes 0.6 of the time on a CPU that has it; weights and losses stay float32.
        with torch.autocast(device, torch.bfloat16):
            loss = loss_of(model, torch.Generator().manual_seed(step))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, plan.clip)
        optimiser.step()
        averaged.update_parameters(model)
        recent = loss.item() if step == first else 0.98 * recent + 0.02 * loss.item()
        _report(step, first, started, recent, plan)
        if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
            _save(checkpoint, step + 1, model, averaged, optimiser)
        if (step + 1) % (5 * plan.save_every) == 0:
            sheet(averaged.module, step + 1)
    return averaged.module


def _average(decay: float) -> Callable[[list[torch.Tensor], list[torch.Tensor], torch.Tensor], None]:
    """An exponential average that forgets faster at first, so that nothing of the random start stays in it."""

    @torch.no_grad()
    def blend(averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor) -> None:
        steps = int(count)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return blend


def _pace(step: int, plan: Plan) -> float:
    """Linear warm-up, then a cosine that ends at a fiftieth."""
    if step < plan.warm_up:
        return (step + 1) / plan.warm_up
    done = (step - plan.warm_up) / max(plan.steps - plan.warm_up, 1)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _report(step: int, first: int, started: float, loss: float, plan: Plan) -> None:
    if (step + 1) % 20 == 0:
        pace_s = (time.monotonic() - started) / (step + 1 - first)
        left_min = pace_s * (plan.steps - step - 1) / 60
        print(
            f"step {step + 1}/{plan.steps}  loss {loss:.4f}  {pace_s:.2f} s a step  {left_min:.0f} min left",
            flush=True,
        )


def _save(path: Path, step: int, model: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Replace the checkpoint atomically: a run that is killed while saving resumes from the one before."""
    state = {
        "step": step,
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def _resume(path: Path, model: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu")
    model.load_state_dict(state["model"])
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
