"""The stages of an import: open, check, write the weights, then export and compare each network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from likeness_engines.errors import ExportError
from likeness_engines.importing import family as families
from likeness_engines.importing.about import About, plan_pack
from likeness_engines.importing.compare import OutputError, by_torch, compare, write_errors
from likeness_engines.importing.quiet import quiet
from likeness_engines.importing.request import ImportRequest, check_request
from likeness_engines.importing.sealing import seal_pack
from likeness_engines.importing.weight_files import read_header
from likeness_engines.importing.work import Work, begin, check_room
from likeness_engines.pack import Family, ModelPack, read_pack

if TYPE_CHECKING:
    from likeness_engines.importing.checkpoint_parts import Checkpoint
    from likeness_engines.importing.face import FaceFiles

Report = Callable[[str], None]


def ignore(_: str) -> None:
    """Report to no one."""


def import_checkpoint(request: ImportRequest, report: Report = ignore) -> ModelPack:
    """Make a pack in the new folder `request.out`; raises ExportError. A call after one that was stopped goes on with
    what is finished in `OUT.partial`.
    """
    check_request(request)
    with quiet():
        try:
            return _import(request, report)
        except OSError as error:
            raise ExportError(
                f"The import failed at {error.filename or request.out}: {error.strerror or error}."
                " Mend that, and call it again: it goes on with what is finished."
            ) from error


def _import(request: ImportRequest, report: Report) -> ModelPack:
    from likeness_engines.importing.checkpoint import open_checkpoint  # noqa: PLC0415 - the export extra's

    checkpoint = open_checkpoint(request.checkpoint, request.family, request.config)
    _check(checkpoint, request.family)
    about, face = plan_pack(request, checkpoint, report), _face_files(request)
    with begin(request, [*checkpoint.files(), *(face.files() if face else ())]) as work:
        if not work.state.laid_out:
            _lay_out(work, checkpoint, about, face, report)
        elif work.state.errors:
            report(f"Going on after {', '.join(work.state.errors)}, finished by an earlier call")
        pack = ModelPack(work.pack, read_pack(work.pack))
        for network in pack.networks:
            if network not in work.state.errors:
                work.finish(network, _export(pack, network, report))
        write_errors(pack, [error for errors in work.state.errors.values() for error in errors])
        seal_pack(pack.folder, pack.about)
        work.hand_over()
    return ModelPack(request.out, read_pack(request.out))


def _check(checkpoint: Checkpoint, family: Family) -> None:
    """Whether the checkpoint is complete, of the family, and computes what a pack can."""
    present = checkpoint.parts()
    if "unet" not in present:
        raise ExportError(f"{checkpoint.configs} is no Stable Diffusion checkpoint: it lacks unet. Name another.")
    families.check_family(checkpoint.name, family, checkpoint.config("unet"), present)
    needed = ("unet", "vae", *families.text_encoders(family))
    families.check_parts(checkpoint.name, family, {part: checkpoint.config(part) for part in needed})
    for part in needed:
        checkpoint.tensors(part)
    for encoder in families.text_encoders(family):
        checkpoint.tokenizer(encoder.replace("text_encoder", "tokenizer"))


def _face_files(request: ImportRequest) -> FaceFiles | None:
    from likeness_engines.importing.face import FaceFiles  # noqa: PLC0415

    if request.ip_adapter is None or request.image_encoder is None:
        return None
    files = FaceFiles(
        request.ip_adapter, request.image_encoder, request.ip_adapter_licence, request.image_encoder_licence
    )
    for path in files.files():
        read_header(path)
    return files


def _lay_out(work: Work, checkpoint: Checkpoint, about: About, files: FaceFiles | None, report: Report) -> None:
    """Write the weights, or leave nothing behind."""
    from likeness_engines.importing.face import open_face  # noqa: PLC0415
    from likeness_engines.importing.layout import write_layout  # noqa: PLC0415

    try:
        check_room(work, room_needed(checkpoint, about.family, files))
        face = open_face(files, checkpoint.config("unet")) if files else None
        if face is not None:
            licences = {"ip_adapter": face.adapter_licence, "image_encoder": face.identity.licence}
            about = msgspec.structs.replace(about, licences=about.licences | licences)
        write_layout(work.pack, checkpoint, about, face, report)
    except BaseException:
        work.discard()
        raise
    work.lay_out()


def room_needed(checkpoint: Checkpoint, family: Family, files: FaceFiles | None) -> int:
    """Bytes on the disk: two a weight to keep, and while the largest network is exported, eight for each of its own."""
    parts = [checkpoint.tensors(part) for part in ("unet", "vae", *families.text_encoders(family))]
    if files is not None:
        parts += [read_header(path).tensors for path in files.files()]
    counts = [sum(tensor.size for tensor in part.values()) for part in parts]
    return 2 * sum(counts) + 8 * max(counts)


def _export(pack: ModelPack, name: str, report: Report) -> list[OutputError]:
    from likeness_engines.importing.export import export_network  # noqa: PLC0415
    from likeness_engines.torch_networks import open_network  # noqa: PLC0415

    started = time.monotonic()
    report(f"{name}: exporting")
    network = open_network(pack, name)
    inputs, expected = by_torch(network)
    export_network(pack, name, network, expected)
    del network
    report(f"{name}: comparing with PyTorch")
    errors = compare(pack, name, inputs, expected)
    worst = max(errors, key=lambda error: error.share)
    report(f"{name}: at most {worst.max_abs:.1e} off, of {worst.scale:.3g} ({time.monotonic() - started:.1f} s)")
    return errors
