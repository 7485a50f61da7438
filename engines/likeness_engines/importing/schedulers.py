"""Which schedule a pack gets: the checkpoint's own where it has an exact table, or the one that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from likeness_engines.errors import ExportError, ScheduleError
from likeness_engines.pack import Family
from likeness_engines.schedule import make_schedule

SCHEDULERS: Final = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-ancestral": "EulerAncestralDiscreteScheduler",
    "dpm++2m": "DPMSolverMultistepScheduler",
    "lcm": "LCMScheduler",
}
# What a checkpoint was trained with, and where it starts; the rest are a solver's own options.
KEPT: Final = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
    "timestep_spacing",
    "steps_offset",
)
CLIPPING: Final = ("DDIMScheduler", "LCMScheduler")  # unless told not to
Config = Mapping[str, Any]


class Defaults(NamedTuple):
    """How a pack is drawn with unless a style or a user says otherwise."""

    steps: int
    guidance: float
    strength: float


FAMILIES: Final[dict[Family, Defaults]] = {
    "sd": Defaults(20, 7.0, 0.75),
    "sdxl": Defaults(20, 5.0, 0.75),
    "pix2pix": Defaults(20, 7.5, 1.0),
}
FEW_STEPS: Final = 4


def choose_scheduler(config: Config, asked: str | None) -> dict[str, Any]:
    """The pack's scheduler configuration; PNDM, which has no table, becomes DPM++ 2M over the same noise levels."""
    if asked is not None:
        if asked not in SCHEDULERS:
            raise ExportError(f"There is no scheduler {asked!r}. Use one of {', '.join(SCHEDULERS)}.")
        return _plain(config, SCHEDULERS[asked])
    if config.get("_class_name") == "PNDMScheduler":
        return _plain(config, SCHEDULERS["dpm++2m"])
    return dict(config)


def default_settings(family: Family, config: Config) -> Defaults:
    """The family's usual ones; few steps without guidance for checkpoints that were distilled to draw so."""
    usual = FAMILIES[family]
    trailing = config.get("timestep_spacing") == "trailing" and not config.get("rescale_betas_zero_snr")
    distilled = trailing or config.get("_class_name") == SCHEDULERS["lcm"]
    return usual._replace(steps=FEW_STEPS, guidance=1.0) if distilled else usual


def check_settings(config: Config, defaults: Defaults) -> None:
    """Raise ExportError unless the schedule has a table and draws so many steps at that strength."""
    if defaults.guidance < 1:
        raise ExportError(f"The guidance is {defaults.guidance}; it has to be 1, which means none, or more.")
    try:
        make_schedule(config, defaults.steps, defaults.strength)
    except ScheduleError as error:
        raise ExportError(f"{error} Or choose another schedule with --scheduler.") from error


def _plain(config: Config, name: str) -> dict[str, Any]:
    """Another scheduler for the same training, without any of the options that have no exact table."""
    kept = (*KEPT, "set_alpha_to_one") if name in CLIPPING else KEPT
    plain = {"_class_name": name, **{key: config[key] for key in kept if key in config}}
    return plain | {"clip_sample": False} if name in CLIPPING else plain
