"""An upload's whole way: body to encrypted originals, originals to crops in the limited process, crops to the store,
and one transaction that accepts everything, or nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from litestar import Request, Response

from likeness.database import clock
from likeness.http.service import Service
from likeness.http.views import GenerationView, view_generation
from likeness.intake import DecodedPhoto, DiscardingSink, Form, FormLimits, read_form
from likeness.packs import DEFAULT_STYLES, choose_styles
from likeness.plan import plan_renders
from likeness.policy import VERSION
from likeness.records import deadlines, generations, idempotency, quota
from likeness.records.generations import NewGeneration, NewPhoto
from likeness.records.quota import Slot
from likeness.refusals import ConsentError, UploadRunningError
from likeness.retention import erase_upload, sign_deletion
from likeness.safe import Place
from likeness.users import User
from likeness.vault import Decryptor, Encryptor, ObjectWriter, context, new_key

ACCEPTED: Final = 202
# Pieces of ciphertext that are handed to the store together.
FLUSH_BYTES: Final = 1 << 20


class Originals:
    """The uploaded photos in the store, under a key that is in this object alone."""

    def __init__(self, service: Service, upload: str) -> None:
        self.digests: list[str] = []
        self._service = service
        self._upload = upload
        self._key = new_key()
        self._writers: list[_Original] = []

    async def open(self, index: int) -> _Original:
        """Begin to store a photo."""
        encryptor = Encryptor(self._key, self._context(index))
        file = await self._service.run(self._service.safe.objects.writer, self._name(index))
        await self._service.run(file.__enter__)
        original = _Original(self, file, encryptor)
        self._writers.append(original)
        return original

    async def abandon(self) -> None:
        """Drop what is half-written."""
        for writer in self._writers:
            await writer.abandon()

    async def chunks(self, index: int) -> AsyncIterator[bytes]:
        """A photo's bytes in pieces, authenticated; never whole in memory."""
        pieces = self._plain(index)
        while (piece := await self._service.run(next, pieces, None)) is not None:
            yield piece

    async def run(self, work: Any, *args: Any) -> None:
        """Run in a thread."""
        await self._service.run(work, *args)

    def _plain(self, index: int) -> Iterator[bytes]:
        decryptor = Decryptor(self._key, self._context(index))
        for sealed in self._service.safe.objects.pieces(self._name(index)):
            yield decryptor.update(sealed)
        yield decryptor.finish()

    def _name(self, index: int) -> str:
        return f"uploads/{self._upload}/{index}"

    def _context(self, index: int) -> bytes:
        return context(self._upload, index, "original")


class _Original:
    """One photo on its way to the store."""

    def __init__(self, originals: Originals, file: ObjectWriter, encryptor: Encryptor) -> None:
        self._originals = originals
        self._file: ObjectWriter | None = file
        self._encryptor = encryptor
        self._digest = hashlib.sha256()
        self._waiting = bytearray()

    async def write(self, data: bytes) -> None:
        """Encrypt and store a piece."""
        await self._store(self._encryptor.update(data))

    async def close(self) -> None:
        """Store the rest; the object is complete when this returns."""
        await self._store(self._encryptor.finish(), flush=True)
        file, self._file = self._file, None
        assert file is not None
        await self._originals.run(file.__exit__, None, None, None)
        self._originals.digests.append(self._digest.hexdigest())

    async def abandon(self) -> None:
        """Leave nothing of a photo that did not come whole."""
        file, self._file = self._file, None
        if file is not None:
            stopped = UploadRunningError()
            await self._originals.run(file.__exit__, type(stopped), stopped, None)

    async def _store(self, sealed: bytes, flush: bool = False) -> None:
        self._digest.update(sealed)
        self._waiting += sealed
        if self._file is not None and (flush or len(self._waiting) >= FLUSH_BYTES):
            piece, self._waiting = bytes(self._waiting), bytearray()
            await self._originals.run(self._file.write, piece)


async def receive_upload(service: Service, request: Request[Any, Any, Any], user: User, slot: Slot) -> GenerationView:
    """Take an upload in and queue its generation; whatever goes wrong, nothing of it stays."""
    upload = secrets.token_hex(12)
    await service.write(_expect, upload, service.settings.upload_most_s)
    originals = Originals(service, upload)
    try:
        form = await _read(service, request, originals)
        styles = _check(service, form)
        photos = await _decode(service, originals, form, user)
        await _accept(service, user, slot, upload, form, styles, photos, originals.digests, request)
    finally:
        # Also when the client went away and this task was cancelled: then the work goes on beside it.
        await asyncio.shield(_clean(service, originals, upload))
    return await view_of(service, upload, user.owner)


async def accepted_response(service: Service, generation: str, owner: str) -> Response[GenerationView]:
    """The 202 that an accepted upload gets, the first time and every time its Idempotency-Key comes again."""
    view = await view_of(service, generation, owner)
    return Response(view, status_code=ACCEPTED, headers={"Location": f"/v1/generations/{generation}"})


async def view_of(service: Service, generation: str, owner: str) -> GenerationView:
    """A generation as its user sees it now."""
    return await service.read(_view, generation, owner)


async def digest_only(service: Service, request: Request[Any, Any, Any]) -> bytes:
    """The keyed digest of an upload that is stored nowhere."""
    form = await _form(service, request, DiscardingSink())
    return form.digest


async def _read(service: Service, request: Request[Any, Any, Any], originals: Originals) -> Form:
    return await _form(service, request, originals)


async def _form(service: Service, request: Request[Any, Any, Any], sink: Originals | DiscardingSink) -> Form:
    settings = service.settings
    limits = FormLimits(idle_s=settings.upload_idle_s, total_s=settings.upload_total_s)
    declared = request.headers.get("content-length", "")
    return await read_form(
        request.headers.get("content-type"),
        request.stream(),
        sink,
        limits,
        key=service.secret,
        content_length=int(declared) if declared.isdigit() else None,
    )


def _check(service: Service, form: Form) -> tuple[str, ...]:
    """The fields, before any photo is looked at; answers the styles' names."""
    if form.consent != VERSION:
        raise ConsentError(VERSION, given=form.consent is not None)
    names = form.styles or DEFAULT_STYLES
    return tuple(style.name for style in choose_styles(service.catalogue, names))


async def _decode(service: Service, originals: Originals, form: Form, user: User) -> list[DecodedPhoto]:
    async with service.decoders.take() as decoder:
        return await decoder.read([originals.chunks(index) for index in range(form.photo_count)], user.owner)


async def _accept(
    service: Service,
    user: User,
    slot: Slot,
    upload: str,
    form: Form,
    styles: tuple[str, ...],
    photos: Sequence[DecodedPhoto],
    digests: list[str],
    request: Request[Any, Any, Any],
) -> None:
    settings, safe = service.settings, service.safe
    now = await service.run(safe.now)
    photo_key, photo_row = await service.run(safe.new_key, upload, "photo", now + settings.photos_most_s)
    avatars_until = now + settings.photos_most_s + settings.avatars_after_s
    _, avatar_row = await service.run(safe.new_key, upload, "avatar", avatars_until)
    stored = await service.run(_store_crops, service, upload, photo_key, photos)
    seed = secrets.randbits(32) if form.seed is None else form.seed
    chosen = choose_styles(service.catalogue, styles)
    plan = plan_renders(chosen, [photo.quality for photo in photos], settings.avatars, seed)
    new = NewGeneration(
        id=upload,
        owner=user.owner,
        tier=user.tier,
        seed=seed,
        styles=styles,
        looks=[(planned.style.name, planned.look.name) for planned in plan],
        consent=form.consent or "",
        photos=stored,
        keys=[photo_row, avatar_row],
        slot=slot,
    )
    # The originals go before the transaction that accepts what was made of them.
    await service.run(_delete_originals, service, upload)
    key = request.scope["state"].get("idempotency_key")
    await service.write(_commit, service, new, digests, key, form.digest)


def _store_crops(service: Service, upload: str, key: bytes, photos: Sequence[DecodedPhoto]) -> list[NewPhoto]:
    stored = []
    for index, photo in enumerate(photos):
        name, digest = service.safe.put(Place(upload, index, "photo"), key, photo.pixels)
        stored.append(NewPhoto(name, digest, photo.quality))
    return stored


def _delete_originals(service: Service, upload: str) -> None:
    for name in list(service.safe.objects.names(f"uploads/{upload}/")):
        service.safe.objects.delete(name)


def _commit(
    connection: sa.Connection, service: Service, new: NewGeneration, digests: list[str], key: str | None, digest: bytes
) -> None:
    if not quota.use(connection, new.slot, new.id):
        raise UploadRunningError  # the reservation ran out, and the slot is another upload's by now
    generations.accept(connection, new, service.settings)
    sign_deletion(connection, service.safe, new.id, new.owner, "originals", digests, "in memory")
    if key is not None:
        idempotency.settle(connection, new.owner, key, digest, new.id)
    accepted = generations.get(connection, new.id)
    assert accepted is not None
    service.jobs.enqueue(connection, new.id, accepted.goes_at)


async def _clean(service: Service, originals: Originals, upload: str) -> None:
    """After a refusal, delete everything; after acceptance there is nothing left to delete."""
    await originals.abandon()
    await service.run(_delete_unaccepted, service, upload)


def _delete_unaccepted(service: Service, upload: str) -> None:
    if service.safe.database.read(generations.get, upload) is None:
        erase_upload(service.safe, upload)


def _expect(connection: sa.Connection, upload: str, lives_s: float) -> None:
    deadlines.set_deadline(connection, "upload", upload, clock(connection) + lives_s)


def _view(connection: sa.Connection, generation: str, owner: str) -> GenerationView:
    found = generations.get_owned(connection, generation, owner)
    running = found.state in generations.RUNNING
    position = generations.ahead_of(connection, found) if found.state == "queued" else None
    queue = generations.estimate(connection) if running else None
    return view_generation(found, generations.avatars_of(connection, found), position, queue)
