"""What a pack is called, how it is drawn with, and what its schedule and its LoRA bank are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from likeness_engines.errors import ExportError
from likeness_engines.importing.request import ImportRequest
from likeness_engines.importing.schedulers import check_settings, choose_scheduler, default_settings
from likeness_engines.pack import Family

if TYPE_CHECKING:
    from likeness_engines.importing.checkpoint_parts import Checkpoint

Config = dict[str, Any]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint's parts cannot say about their pack; `scheduler` is a diffusers configuration."""

    name: str
    title: str
    family: Family
    licence: str
    scheduler: Config
    version: str = "1"
    author: str = "unknown"
    steps: int = 20
    guidance: float = 7.0
    strength: float = 1.0
    source_scale: float | None = None
    zero_empty_prompt: bool = False
    lora_slots: int = 8
    lora_rank: int = 16
    feed_forward: bool = False
    licences: dict[str, str] = {}


def plan_pack(request: ImportRequest, checkpoint: Checkpoint, report: Callable[[str], None]) -> About:
    """As asked for, and where nothing is, as the checkpoint or its family has it; raises ExportError."""
    own = checkpoint.scheduler()
    scheduler = choose_scheduler(own, request.scheduler)
    if scheduler["_class_name"] != own.get("_class_name"):
        report(f"The schedule is {scheduler['_class_name']} over the noise levels of {own.get('_class_name')}")
    usual = default_settings(request.family, scheduler)
    asked: dict[str, Any] = {"steps": request.steps, "guidance": request.guidance, "strength": request.strength}
    settings = usual._replace(**{name: value for name, value in asked.items() if value is not None})
    check_settings(scheduler, settings)
    licence = request.licence or checkpoint.licence
    if licence is None:
        raise ExportError(f"{checkpoint.name} has no README.md that states a licence. Give it with --licence.")
    name = request.name or re.sub(r"[^a-z0-9.]+", "-", checkpoint.name.lower()).strip("-.")
    return About(
        name=name,
        title=request.title or name,
        family=request.family,
        licence=licence,
        scheduler=scheduler,
        version=request.version,
        author=request.author or checkpoint.author,
        **settings._asdict(),
        source_scale=request.source_scale,
        zero_empty_prompt=request.family == "sdxl" and checkpoint.index().get("force_zeros_for_empty_prompt", True),
        lora_slots=request.lora_slots,
        lora_rank=request.lora_rank,
        feed_forward=request.feed_forward,
        licences={"checkpoint": licence},
    )
