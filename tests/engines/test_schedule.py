"""Schedule tables do what diffusers' own schedulers do, step by step, and refuse what has no table."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from likeness_engines import Schedule, ScheduleError, make_schedule

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


def by_table(schedule: Schedule, start: np.ndarray, noises: np.ndarray) -> list[np.ndarray]:
    x, previous, path = start, np.zeros_like(start), []
    for (timestep, p, q, a, b, c, d), noise in zip(schedule.table, noises, strict=True):
        prediction = network(x, timestep)
        x, previous = a * x + b * prediction + c * previous + d * noise, p * x + q * prediction
        path.append(x)
    return path


def by_diffusers(scheduler: Any, timesteps: Any, start: np.ndarray, noises: np.ndarray) -> list[np.ndarray]:
    """The loop of a pipeline over the `timesteps` that are left, noise added where the scheduler adds any."""
    import torch

    drawn = iter(torch.from_numpy(noises))
    x, path = torch.from_numpy(start), []
    with pytest.MonkeyPatch.context() as patch:
        module = sys.modules[type(scheduler).__module__]
        if hasattr(module, "randn_tensor"):
            patch.setattr(module, "randn_tensor", lambda *_, **__: next(drawn))
        for timestep in timesteps:
            scaled = scheduler.scale_model_input(x, timestep)
            prediction = torch.from_numpy(network(scaled.numpy(), float(timestep)))
            x = scheduler.step(prediction, timestep, x).prev_sample.double()
            path.append(x.numpy() / norm(scheduler))
    return path


def norm(scheduler: Any) -> float:
    """By how much diffusers' latents are larger than ours where it has reached: its Euler kinds add noise to the
    signal without shrinking it.
    """
    if "Euler" not in type(scheduler).__name__:
        return 1.0
    reached = scheduler.begin_index if scheduler.step_index is None else scheduler.step_index
    return float(np.sqrt(1 + float(scheduler.sigmas[reached]) ** 2))


def difference(drawn: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest of any step, relative to that step's largest value."""
    steps = zip(drawn, expected, strict=True)
    return float(max(np.abs(one - other).max() / np.abs(other).max() for one, other in steps))


@pytest.mark.export
@pytest.mark.filterwarnings("ignore")  # diffusers has its own, of NumPy 2 and of autocast
@pytest.mark.parametrize("steps", [2, 6, 20])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_table_follows_diffusers(name: str, options: dict[str, Any], steps: int) -> None:
    import diffusers

    scheduler = getattr(diffusers, name)(**options)
    scheduler.set_timesteps(steps)
    schedule = make_schedule({**scheduler.config, "_class_name": name}, steps)
    noise, *noises = np.random.default_rng(1).standard_normal((steps + 1, 2, 4, 8, 8))
    expected = by_diffusers(scheduler, scheduler.timesteps, noise * float(scheduler.init_noise_sigma), np.stack(noises))
    assert difference(by_table(schedule, noise * schedule.start, np.stack(noises)), expected) < 1e-5


@pytest.mark.export
@pytest.mark.filterwarnings("ignore")  # diffusers has its own, of NumPy 2 and of autocast
@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("steps", [4, 6, 20])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_from_a_photo_the_table_follows_image_to_image(
    name: str, options: dict[str, Any], steps: int, strength: float
) -> None:
    import diffusers
    import torch

    scheduler = getattr(diffusers, name)(**options)
    scheduler.set_timesteps(steps)
    pipeline: Any = SimpleNamespace(scheduler=scheduler)  # all that this method reads of it
    timesteps, left = diffusers.StableDiffusionImg2ImgPipeline.get_timesteps(pipeline, steps, strength, None)
    photo, noise, *noises = np.random.default_rng(1).standard_normal((left + 2, 2, 4, 8, 8))
    noisy = scheduler.add_noise(torch.from_numpy(photo), torch.from_numpy(noise), timesteps[:1].repeat(2)).numpy()
    schedule = make_schedule({**scheduler.config, "_class_name": name}, steps, strength)
    start = schedule.signal * photo + schedule.sigma * noise
    assert np.abs(start - noisy / norm(scheduler)).max() < 1e-5
    expected = by_diffusers(scheduler, timesteps, noisy, np.stack(noises))
    assert difference(by_table(schedule, start, np.stack(noises)), expected) < 1e-5


def test_at_least_one_step_is_left_of_a_photo() -> None:
    config = {"_class_name": "DDIMScheduler", **SD}
    [last] = make_schedule(config, 4, 0.1).table
    assert np.array_equal(last, make_schedule(config, 4).table[-1])


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.01, float("nan")])
def test_impossible_strengths_are_refused(strength: float) -> None:
    with pytest.raises(ScheduleError, match="strength"):
        make_schedule({"_class_name": "DDIMScheduler"}, 4, strength)


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
