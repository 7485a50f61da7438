"""Diffusion schedules as tables: no scheduler objects, any mix of step counts in one batch.

DDIM, Euler, Euler ancestral, DPM++ 2M and LCM are all linear in what they handle, so that one row a step says
everything:

    x0 = p * x + q * prediction
    x' = a * x + b * prediction + c * previous_x0 + d * noise

All tables are variance-preserving: x = alpha * x0 + sigma * noise with alpha^2 + sigma^2 = 1, so that the network's
input is never scaled. `x0` is kept as the next step's `previous_x0`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from likeness_engines.errors import ScheduleError

Floats = NDArray[np.float64]
Config = Mapping[str, Any]


class Schedule(NamedTuple):
    """`table` is float64 [steps, 7] with the columns timestep, p, q, a, b, c, d.

    Sampling starts at `start` * noise; from a photo (Meng et al., SDEdit, 2022), at `signal` * photo + `sigma` * noise.
    """

    table: Floats
    start: float
    signal: float
    sigma: float


def make_schedule(config: Config, steps: int, strength: float = 1.0) -> Schedule:
    """Compute the table that a diffusers `scheduler_config.json` means for `steps` steps; raises ScheduleError.

    With a `strength` under 1, only the last `int(steps * strength)` of them, at least one, are left, as in diffusers.
    """
    name = str(config.get("_class_name"))
    if name not in _MAKERS:
        raise ScheduleError(f"The scheduler {name} has no table. Use one of {', '.join(sorted(_MAKERS))}.")
    _refuse_nonlinear(config)
    train_steps = int(config.get("num_train_timesteps", 1000))
    if not 1 <= steps <= train_steps:
        raise ScheduleError(f"{steps} steps are asked for; the schedule has 1 to {train_steps}.")
    if not 0 < strength <= 1:
        raise ScheduleError(f"The strength is {strength}; it has to be over 0 and up to 1.")
    skip = steps - max(1, min(int(steps * strength), steps))
    return _MAKERS[name](config, steps, skip)


# Options that make a step nonlinear, or change the sigmas in ways that no supported checkpoint needs; and what is fine.
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "clip_sample": (False, None),
    "thresholding": (False, None),
    "use_karras_sigmas": (False, None),
    "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
    "use_flow_sigmas": (False, None),
    "trained_betas": (None,),
    "algorithm_type": ("dpmsolver++", None),
    "solver_order": (1, 2, None),
    "solver_type": ("midpoint", "heun", None),
    "interpolation_type": ("linear", None),
    "timestep_type": ("discrete", None),
    "variance_type": (None,),
    "final_sigmas_type": ("zero", None),
    "sigma_min": (None,),
    "sigma_max": (None,),
}


def _refuse_nonlinear(config: Config) -> None:
    for option, fine in _NEUTRAL.items():
        value = config.get(option)
        if value not in fine:
            raise ScheduleError(f"The scheduler option {option} = {value!r} has no exact table. Set it to {fine[0]!r}.")


def _alphas_cumprod(config: Config) -> Floats:
    count = int(config.get("num_train_timesteps", 1000))
    first, last = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    kind = config.get("beta_schedule", "linear")
    if kind == "linear":
        betas = np.linspace(first, last, count)
    elif kind == "scaled_linear":
        betas = np.linspace(first**0.5, last**0.5, count) ** 2
    elif kind == "squaredcos_cap_v2":
        # Nichol and Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, equation 17.
        bar = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
    else:
        raise ScheduleError(f"The beta schedule {kind!r} is not known. Use linear, scaled_linear or squaredcos_cap_v2.")
    alphas = np.asarray(np.cumprod(1 - betas), np.float64)
    return _zero_terminal_snr(alphas) if config.get("rescale_betas_zero_snr") else alphas


def _zero_terminal_snr(alphas_cumprod: Floats) -> Floats:
    """Shift and scale so that the last step is pure noise (Lin et al., 2024, algorithm 1)."""
    root = np.sqrt(alphas_cumprod)
    return np.asarray(((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2)


def _timesteps(config: Config, steps: int, default: str, *, extra: int = 0) -> Floats:
    """Descending timesteps in diffusers' three spacings; `extra` is 1 for solvers that count one more interval."""
    count = int(config.get("num_train_timesteps", 1000))
    spacing = config.get("timestep_spacing", default)
    if spacing == "linspace":
        return np.linspace(0, count - 1, steps + extra)[::-1][:steps]
    if spacing == "leading":
        ratio = count // (steps + extra)
        return (np.arange(float(steps + extra)) * ratio)[::-1][:steps] + int(config.get("steps_offset", 0))
    if spacing == "trailing":
        return np.arange(count, 0, -count / steps).round()[:steps] - 1
    raise ScheduleError(f"The timestep spacing {spacing!r} is not known. Use linspace, leading or trailing.")


def _to_x0(config: Config, alpha: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """p and q for the checkpoint's prediction type (v: Salimans and Ho, Progressive Distillation, 2022)."""
    kind = config.get("prediction_type", "epsilon")
    if kind == "epsilon":
        if alpha.min() <= 0:
            raise ScheduleError(
                "Epsilon prediction cannot start from zero signal. Set rescale_betas_zero_snr to False."
            )
        return 1 / alpha, -sigma / alpha
    if kind == "v_prediction":
        return alpha, -sigma
    if kind == "sample":
        return np.zeros_like(alpha), np.ones_like(alpha)
    raise ScheduleError(f"The prediction type {kind!r} is not known. Use epsilon, v_prediction or sample.")


class _Step(NamedTuple):
    """x' = x0 * x0_share + x * x_share + previous_x0 * c + noise * d, before x0 is written in terms of the
    prediction.
    """

    x0_share: Floats
    x_share: Floats
    c: Floats
    d: Floats


class _Levels(NamedTuple):
    """Every step's timestep, signal and noise level: alpha^2 + sigma^2 = 1."""

    timesteps: Floats
    alpha: Floats
    sigma: Floats


def _assemble(config: Config, levels: _Levels, step: _Step, skip: int, start: float = 1.0) -> Schedule:
    p, q = _to_x0(config, levels.alpha, levels.sigma)
    a, b = step.x0_share * p + step.x_share, step.x0_share * q
    table = np.stack([levels.timesteps, p, q, a, b, step.c, step.d], axis=1)[skip:]
    return Schedule(table, start, float(levels.alpha[skip]), float(levels.sigma[skip]))


def _ddim(config: Config, steps: int, skip: int) -> Schedule:
    """Song et al., Denoising Diffusion Implicit Models, 2021, equation 12 with eta 0."""
    bar = _alphas_cumprod(config)
    timesteps = _timesteps(config, steps, "leading").round()
    final = 1.0 if config.get("set_alpha_to_one", True) else bar[0]
    # diffusers steps back by the integer ratio, also where the timesteps' own distance differs by one.
    before = timesteps.astype(int) - len(bar) // steps
    alpha, sigma = _signal(bar[timesteps.astype(int)])
    next_alpha, next_sigma = _signal(np.where(before >= 0, bar[np.maximum(before, 0)], final))
    zero = np.zeros(steps)
    x_share = next_sigma / sigma
    step = _Step(next_alpha - x_share * alpha, x_share, zero, zero)
    return _assemble(config, _Levels(timesteps, alpha, sigma), step, skip)


def _signal(alphas_cumprod: Floats) -> tuple[Floats, Floats]:
    return np.sqrt(alphas_cumprod), np.sqrt(1 - alphas_cumprod)


def _noise_levels(config: Config, timesteps: Floats) -> Floats:
    """The sigmas of variance-exploding form at (possibly fractional) timesteps, and 0 at the end: [steps + 1]."""
    bar = _alphas_cumprod(config)
    if config.get("rescale_betas_zero_snr"):
        bar[-1] = 2**-24  # as diffusers does: these solvers divide by the signal
    levels = np.sqrt((1 - bar) / bar)
    return np.append(np.interp(timesteps, np.arange(len(levels)), levels), 0.0)


def _euler(config: Config, steps: int, skip: int) -> Schedule:
    return _euler_like(config, steps, skip, ancestral=False)


def _euler_ancestral(config: Config, steps: int, skip: int) -> Schedule:
    return _euler_like(config, steps, skip, ancestral=True)


def _euler_like(config: Config, steps: int, skip: int, *, ancestral: bool) -> Schedule:
    """Karras et al., Elucidating the Design Space, 2022, algorithm 2 without churn; ancestral after k-diffusion."""
    timesteps = _timesteps(config, steps, "linspace")
    levels = _noise_levels(config, timesteps)
    now, then = levels[:-1], levels[1:]
    up = np.sqrt(then**2 * (now**2 - then**2) / now**2) if ancestral else np.zeros(steps)
    down = np.sqrt(then**2 - up**2)
    # Variance-exploding form: x' = (down / now) x + (1 - down / now) x0 + up * noise. Both sides divided by the norms:
    norm, next_norm = np.sqrt(1 + now**2), np.sqrt(1 + then**2)
    step = _Step((1 - down / now) / next_norm, down / now * norm / next_norm, np.zeros(steps), up / next_norm)
    whole = config.get("timestep_spacing", "linspace") in ("linspace", "trailing")
    start = float(levels[0] / norm[0]) if whole else 1.0
    return _assemble(config, _Levels(timesteps, 1 / norm, now / norm), step, skip, start)


def _dpm_solver(config: Config, steps: int, skip: int) -> Schedule:
    """Lu et al., DPM-Solver++, 2022: second order multistep (algorithm 2), in diffusers' midpoint or Heun form."""
    timesteps = _timesteps(config, steps, "linspace", extra=1).round()
    levels = _noise_levels(config, timesteps)
    alpha = 1 / np.sqrt(1 + levels**2)
    sigma = levels * alpha
    with np.errstate(divide="ignore"):
        log_snr = np.log(alpha) - np.log(sigma)
    h = np.diff(log_snr)
    shrink = -np.expm1(-h)  # 1 - exp(-h); 1 at the last step, where h is infinite
    second = np.arange(steps) > skip  # the first step has no previous x0
    second &= np.arange(steps) < steps - 1  # the last step ends at sigma 0, where only first order is defined
    second &= config.get("solver_order", 2) == 2
    correction = np.zeros(steps)
    growth = h[1:] / h[:-1]  # infinite where the last step is, which `second` leaves out
    if config.get("solver_type", "midpoint") == "midpoint":
        correction[1:] = 0.5 * shrink[1:] * growth
    else:
        correction[1:] = (1 - shrink[1:] / h[1:]) * growth
    correction = np.where(second, correction, 0.0) * alpha[1:]
    step = _Step(alpha[1:] * shrink + correction, sigma[1:] / sigma[:-1], -correction, np.zeros(steps))
    return _assemble(config, _Levels(timesteps, alpha[:-1], sigma[:-1]), step, skip)


def _lcm(config: Config, steps: int, skip: int) -> Schedule:
    """Luo et al., Latent Consistency Models, 2023: boundary scalings of section 4.1, then noise again."""
    bar = _alphas_cumprod(config)
    original = int(config.get("original_inference_steps", 50))
    if steps > original:
        raise ScheduleError(f"{steps} steps are asked for; this LCM schedule has 1 to {original}.")
    grid = np.arange(1, original + 1) * (len(bar) // original) - 1
    timesteps = grid[::-1][np.floor(np.linspace(0, original, num=steps, endpoint=False)).astype(int)].astype(np.float64)
    alpha, sigma = _signal(bar[timesteps.astype(int)])
    scaled = timesteps * float(config.get("timestep_scaling", 10.0))
    data = 0.5
    keep, out = data**2 / (scaled**2 + data**2), scaled / np.sqrt(scaled**2 + data**2)
    next_alpha, next_sigma = np.append(alpha[1:], 1.0), np.append(sigma[1:], 0.0)
    step = _Step(next_alpha * out, next_alpha * keep, np.zeros(steps), next_sigma)
    return _assemble(config, _Levels(timesteps, alpha, sigma), step, skip)


_MAKERS: Final[dict[str, Callable[[Config, int, int], Schedule]]] = {
    "DDIMScheduler": _ddim,
    "EulerDiscreteScheduler": _euler,
    "EulerAncestralDiscreteScheduler": _euler_ancestral,
    "DPMSolverMultistepScheduler": _dpm_solver,
    "LCMScheduler": _lcm,
}
