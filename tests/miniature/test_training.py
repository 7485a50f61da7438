"""The recipe: pairs are what they are said to be, and a run that was stopped goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.photos import crop_face
from miniature.cutout import cut_out
from miniature.dataset import FIVE_STYLES, HELD_OUT, INPUTS_PER_POSE, _draw_pose, _share
from miniature.vocabulary import STYLES, parse

pytestmark = pytest.mark.export


def test_no_name_is_held_out_twice() -> None:
    names = HELD_OUT.read_text().split()
    assert len(names) == len(set(names)) > 70


def test_a_pose_is_photographs_drawings_and_their_prompts(astronaut: NDArray[np.uint8]) -> None:
    crop = crop_face(astronaut).pixels
    _share([crop])
    mask = np.zeros((256, 256), np.float32)
    mask[60:, 50:200] = 1
    inputs, targets, prompts = _draw_pose(FIVE_STYLES, (0, crop, mask))
    assert inputs.shape == (INPUTS_PER_POSE, 256, 256, 3)
    assert targets.shape == (2 * len(STYLES), 256, 256, 3)
    assert inputs.dtype == targets.dtype == np.uint8
    assert {parse(prompt).style for prompt in prompts} == set(STYLES)
    again = _draw_pose(FIVE_STYLES, (0, crop, mask))
    assert np.array_equal(inputs, again[0])
    assert prompts == again[2]


def test_a_mask_that_looks_wrong_is_dropped() -> None:
    assert cut_out(np.full((256, 256, 3), 128, np.uint8)) is None


@pytest.mark.filterwarnings("ignore")
def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    import torch
    from torch import nn

    from miniature.loop import Plan, train

    def loss_of(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
        x = torch.randn(8, 4, generator=generator)
        return (model(x) - x.sum(dim=1, keepdim=True)).square().mean()

    def run(steps: int, checkpoint: Path) -> torch.Tensor:
        torch.manual_seed(0)
        plan = Plan(steps=steps, learning_rate=1e-2, warm_up=100, save_every=5)
        return train(nn.Linear(4, 1), plan, loss_of, checkpoint, lambda *_: None).weight.detach()  # type: ignore[union-attr, return-value]

    whole = run(10, tmp_path / "whole.pt")
    run(5, tmp_path / "stopped.pt")
    resumed = run(10, tmp_path / "stopped.pt")
    assert torch.equal(whole, resumed)
    assert not torch.equal(whole, run(5, tmp_path / "other.pt"))
