"""Schedule tables do what diffusers' own schedulers do, step by step, and refuse what has no table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likeness_engines import ScheduleError, make_schedule

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
COSINE_V = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("DDIMScheduler", {**SD, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    ("DDIMScheduler", {**SD, "clip_sample": False, "prediction_type": "sample"}),
    (
        "DDIMScheduler",
        {**COSINE_V, "clip_sample": False, "timestep_spacing": "trailing", "rescale_betas_zero_snr": True},
    ),
    ("EulerDiscreteScheduler", {**SD, "timestep_spacing": "leading", "steps_offset": 1}),
    ("EulerDiscreteScheduler", {**SD, "prediction_type": "v_prediction"}),
    ("EulerDiscreteScheduler", {**SD, "timestep_spacing": "trailing"}),
    ("EulerAncestralDiscreteScheduler", {**SD}),
    ("EulerAncestralDiscreteScheduler", {**SD, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}),
    ("DPMSolverMultistepScheduler", {**SD}),
    ("DPMSolverMultistepScheduler", {**SD, "solver_order": 1}),
    ("DPMSolverMultistepScheduler", {**SD, "solver_type": "heun", "timestep_spacing": "trailing"}),
    ("DPMSolverMultistepScheduler", {**COSINE_V, "timestep_spacing": "leading", "steps_offset": 1}),
    ("LCMScheduler", {**SD}),
    ("LCMScheduler", {**SD, "prediction_type": "v_prediction"}),
]


def network(sample: np.ndarray, timestep: float) -> np.ndarray:
    """A smooth stand-in for a UNet: bounded, different at every timestep."""
    return np.tanh(0.7 * sample + 0.3 * np.sin(sample * 3)) * (0.5 + timestep / 2000)


def by_table(config: dict[str, Any], steps: int, noises: np.ndarray) -> list[np.ndarray]:
    schedule = make_schedule(config, steps)
    x, previous, path = noises[0] * schedule.start, np.zeros_like(noises[0]), []
    for (timestep, p, q, a, b, c, d), noise in zip(schedule.table, noises[1:], strict=True):
        prediction = network(x, timestep)
        x, previous = a * x + b * prediction + c * previous + d * noise, p * x + q * prediction
        path.append(x)
    return path


@pytest.mark.export
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers with NumPy 2
@pytest.mark.parametrize("steps", [2, 6, 20])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_table_follows_diffusers(
    name: str, options: dict[str, Any], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers
    import torch

    scheduler = getattr(diffusers, name)(**options)
    module = __import__(type(scheduler).__module__, fromlist=["randn_tensor"])
    scheduler.set_timesteps(steps)
    noises = np.random.default_rng(1).standard_normal((steps + 1, 2, 4, 8, 8))
    drawn = iter(torch.from_numpy(noises[1:]))
    if hasattr(module, "randn_tensor"):
        monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: next(drawn))
    x = torch.from_numpy(noises[0]) * scheduler.init_noise_sigma
    for timestep, expected in zip(
        scheduler.timesteps, by_table({**scheduler.config, "_class_name": name}, steps, noises), strict=True
    ):
        scaled = scheduler.scale_model_input(x, timestep)
        prediction = torch.from_numpy(network(scaled.numpy(), float(timestep)))
        x = scheduler.step(prediction, timestep, x).prev_sample.double()
        variance_preserving = x.numpy()
        if name.startswith("Euler"):
            variance_preserving = x.numpy() / np.sqrt(1 + float(scheduler.sigmas[scheduler.step_index]) ** 2)
        scale = np.abs(variance_preserving).max()
        assert np.abs(variance_preserving - expected).max() / scale < 1e-5


@pytest.mark.parametrize(
    ("option", "value"),
    [("clip_sample", True), ("thresholding", True), ("use_karras_sigmas", True), ("algorithm_type", "sde-dpmsolver++")],
)
def test_options_without_a_table_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(ScheduleError, match=option):
        make_schedule({"_class_name": "DDIMScheduler", option: value}, 4)


def test_unknown_scheduler_names_the_known_ones() -> None:
    with pytest.raises(ScheduleError, match=r"PNDMScheduler.*DDIMScheduler"):
        make_schedule({"_class_name": "PNDMScheduler"}, 4)


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_step_counts_are_refused(steps: int) -> None:
    with pytest.raises(ScheduleError, match="steps"):
        make_schedule({"_class_name": "DDIMScheduler"}, steps)


def test_epsilon_prediction_cannot_start_from_zero_signal() -> None:
    config = {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    with pytest.raises(ScheduleError, match="zero signal"):
        make_schedule(config, 4)
