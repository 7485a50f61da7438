"""`likeness render`: photos in, a folder of avatars out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from likeness.cli.engines import default_cache
from likeness.errors import PhotoFileError, PhotoResult
from likeness.file_names import readable
from likeness.folder import AvatarFolder, Listing, PhotoEntry, Timings, free_name
from likeness.generation import Avatar, Lost, draw
from likeness.packs import (
    DEFAULT_STYLES,
    choose_styles,
    crop_side,
    faces_compared,
    load_catalogue,
    open_model_pack,
)
from likeness.photos import MOST_BYTES, ReadPhotos, read_photos
from likeness.photos.face_networks import load_networks
from likeness.plan import plan_renders
from likeness.provenance import Marker, open_marker
from likeness.settings import Settings
from likeness_engines import BackendOptions, load_engines
from likeness_plugins import Catalogue

LOCAL_USER = "local"
INTERRUPTED = 130


class RenderCommand(msgspec.Struct, frozen=True):
    """What was asked for; None means the default."""

    photos: list[Path]
    styles: tuple[str, ...] | None
    count: int
    steps: int | None
    seed: int | None
    pack: Path | None
    backend: str
    out: Path | None
    certificate: str = ""
    key: str = ""


def render(command: RenderCommand, settings: Callable[[], Settings]) -> int:
    """Draw the avatars and say where they are; after Ctrl-C, what is done stays and is listed. `settings` are those of
    the installation where styles without code are looked for.
    """
    clock = _Clock()
    catalogue = load_catalogue()
    wanted = command.styles or DEFAULT_STYLES
    if not catalogue.styles.keys() >= set(wanted):
        from likeness.cli.installation import installed_styles  # noqa: PLC0415 - most commands need no database

        catalogue = installed_styles(settings(), catalogue)
    styles = choose_styles(catalogue, wanted)
    pack = open_model_pack(command.pack)
    console = Console(highlight=False, markup=False)
    crops, results = read_files(command.photos, catalogue, crop_side(pack.about))
    report_left_out(console, command.photos, results)
    seed = secrets.randbits(32) if command.seed is None else command.seed
    plan = plan_renders(styles, [crop.quality for crop in crops], command.count, seed)
    photos = [PhotoEntry.of(path, result) for path, result in zip(command.photos, results, strict=True)]
    pack_name = f"{pack.name} {pack.version}"
    listing = Listing(pack_name, seed, command.count, Timings(), photos, faces_compared(catalogue), [])
    marker = open_marker(command.certificate, command.key, None)
    out = command.out or free_name(Path.cwd())
    folder = AvatarFolder(out, listing, marker)
    folder.open()
    engines = load_engines(pack, command.backend, BackendOptions(cache=default_cache(None)))
    listing.timings.start_up_s = clock.seconds()
    interrupted = _draw(draw(engines, catalogue, crops, plan, command.steps), folder, clock, console)
    folder.close([crop.pixels for crop in crops], clock.seconds())
    _report(console, folder, marker)
    return INTERRUPTED if interrupted else _exit_code(listing)


class _Clock:
    def __init__(self) -> None:
        self._started = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self._started, 2)


def _draw(drawing: Iterator[Avatar | Lost], folder: AvatarFolder, clock: _Clock, console: Console) -> bool:
    """Write results as they come, under a progress bar; returns whether Ctrl-C ended it."""
    with show_progress(console) as progress:
        task = progress.add_task("Drawing", total=folder.listing.asked)
        try:
            for result in drawing:
                folder.add(result, clock.seconds())
                progress.advance(task)
        except KeyboardInterrupt:
            return True
    return False


def read_files(paths: list[Path], catalogue: Catalogue, side: int) -> ReadPhotos:
    """Read and review photos from files; raises what `read_photos` does, and PhotoFileError."""
    sources, failures = [], []
    for path in paths:
        try:
            with path.open("rb") as file:
                # One byte over the limit is enough to be refused by it, whatever the file is.
                sources.append((readable(path), file.read(MOST_BYTES + 1)))
        except OSError as error:
            failures.append((readable(path), error))
    if failures:
        raise PhotoFileError(failures)
    load_networks()  # a damaged installation is not to be taken for a damaged photo
    return read_photos(
        sources,
        review_photo=catalogue.review_photo,
        review_photos=lambda crops: catalogue.review_photos(crops, LOCAL_USER),
        side=side,
    )


def report_left_out(console: Console, paths: Sequence[Path], results: Sequence[PhotoResult]) -> None:
    """Say which photos are not used, and why."""
    for path, result in zip(paths, results, strict=True):
        if not result.accepted:
            console.print(f"Left out {readable(path)}: {result.message}", soft_wrap=True, markup=False)


def show_progress(console: Console) -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("avatars, time left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _report(console: Console, folder: AvatarFolder, marker: Marker) -> None:
    listing = folder.listing
    ready = [entry for entry in listing.avatars if entry.state == "ready"]
    console.print(f"{len(ready)} of {listing.asked} avatars in {listing.timings.total_s:.1f} s, seed {listing.seed}")
    console.print(f"  {readable(folder.path.resolve())}", soft_wrap=True)
    if ready:
        console.print(f"  {readable((folder.path / 'sheet.webp').resolve())}", soft_wrap=True)
        by = "a self-made certificate, for development" if marker.is_development else "your certificate"
        console.print(f"Each says that a model made it, signed with {by}: likeness provenance FILE", soft_wrap=True)
    if listing.faces_compared:
        console.print("The faces in the photos were compared with each other.", soft_wrap=True)
    for entry in listing.avatars:
        if entry.state != "ready":
            console.print(f"Avatar {entry.index + 1} ({entry.style}, {entry.look}) {entry.state}: {entry.reason}")


def _exit_code(listing: Listing) -> int:
    """1 when more than a fifth of the avatars is missing: the bound at which a generation counts as failed."""
    ready = sum(entry.state == "ready" for entry in listing.avatars)
    return 0 if ready * 5 >= listing.asked * 4 else 1
