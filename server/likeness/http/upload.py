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
from likeness.intake import DecodedPhoto, Form, FormLimits, PhotoSink, UploadTimeoutError, read_form
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
from likeness_plugins import Style

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

    def delete(self) -> None:
        """Delete all of them; their key goes with this object."""
        for name in list(self._service.safe.objects.names(f"uploads/{self._upload}/")):
            self._service.safe.objects.delete(name)

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
            stopped = InterruptedError("the upload was given up")
            await self._originals.run(file.__exit__, type(stopped), stopped, None)

    async def _store(self, sealed: bytes, flush: bool = False) -> None:
        self._digest.update(sealed)
        self._waiting += sealed
        if self._file is not None and (flush or len(self._waiting) >= FLUSH_BYTES):
            piece, self._waiting = bytes(self._waiting), bytearray()
            await self._originals.run(self._file.write, piece)


async def receive_upload(service: Service, request: Request[Any, Any, Any], user: User, slot: Slot) -> str:
    """Take an upload in and queue its generation, whose id is answered; if anything goes wrong, nothing of it stays."""
    upload = _Upload(service, user, slot)
    try:
        await upload.expect()
        form = await read_upload(service, request, upload.originals)
        styles = upload.check(form)
        photos = await upload.decode(form)
        new = await upload.store(form, styles, photos)
        key = request.scope["state"].get("idempotency_key")
        await service.write(_commit, service, new, digests=upload.originals.digests, key=key, content=form.digest)
    finally:
        # Also when the client went away and this task was cancelled: then the work goes on beside it.
        await asyncio.shield(upload.clean())
    return upload.id


async def accepted_response(service: Service, generation: str, owner: str) -> Response[GenerationView]:
    """The 202 that an accepted upload gets, the first time and every time its Idempotency-Key comes again."""
    view = await view_of(service, generation, owner)
    return Response(view, status_code=ACCEPTED, headers={"Location": f"/v1/generations/{generation}"})


async def view_of(service: Service, generation: str, owner: str) -> GenerationView:
    """A generation as its user sees it now."""
    return await service.read(_view, generation, owner, service.settings.lease_s)


async def read_upload(service: Service, request: Request[Any, Any, Any], sink: PhotoSink) -> Form:
    """Read an upload's form, its photos into the sink."""
    settings = service.settings
    declared = request.headers.get("content-length", "")
    return await read_form(
        request.headers.get("content-type"),
        request.stream(),
        sink,
        FormLimits(idle_s=settings.upload_idle_s, total_s=settings.upload_total_s),
        key=service.secret,
        content_length=int(declared) if declared.isdigit() else None,
    )


class _Upload:
    """An upload under way; its id becomes the generation's."""

    def __init__(self, service: Service, user: User, slot: Slot) -> None:
        self.id = secrets.token_hex(12)
        self.originals = Originals(service, self.id)
        self._service = service
        self._user = user
        self._slot = slot
        self._started = 0.0  # by the database's clock; the photos' time counts from here

    async def expect(self) -> None:
        """Set the deadline of what is stored from now on."""
        self._started = await self._service.write(_expect, self.id, self._service.settings.upload_most_s)

    def check(self, form: Form) -> list[Style]:
        """The fields, before any photo is looked at; answers the styles."""
        if form.consent != VERSION:
            raise ConsentError(VERSION, given=form.consent is not None)
        return choose_styles(self._service.catalogue, form.styles or DEFAULT_STYLES)

    async def decode(self, form: Form) -> list[DecodedPhoto]:
        """The crops, read in a process that can do no harm."""
        async with self._service.decoders.take() as decoder:
            photos = [self.originals.chunks(index) for index in range(form.photo_count)]
            return await decoder.read(photos, self._user.owner)

    async def store(self, form: Form, styles: Sequence[Style], photos: Sequence[DecodedPhoto]) -> NewGeneration:
        """Store the crops and delete the originals; answers what is to be committed."""
        return await self._service.run(self._store, form, styles, photos)

    async def clean(self) -> None:
        """After a refusal, delete everything; after acceptance there is nothing left to delete."""
        await self.originals.abandon()
        await self._service.run(self._delete_unaccepted)

    def _store(self, form: Form, styles: Sequence[Style], photos: Sequence[DecodedPhoto]) -> NewGeneration:
        safe, settings = self._service.safe, self._service.settings
        photos_until = self._started + settings.photos_most_s
        avatars_until = photos_until + settings.avatars_after_s
        photo_key, photo_row = safe.new_key(self.id, "photo", photos_until)
        _, avatar_row = safe.new_key(self.id, "avatar", avatars_until)
        stored = []
        for index, photo in enumerate(photos):
            name, digest = safe.put(Place(self.id, index, "photo"), photo_key, photo.pixels)
            stored.append(NewPhoto(name, digest, photo.quality))
        self.originals.delete()
        seed = secrets.randbits(32) if form.seed is None else form.seed
        plan = plan_renders(styles, [photo.quality for photo in photos], settings.avatars, seed)
        return NewGeneration(
            id=self.id,
            owner=self._user.owner,
            tier=self._user.tier,
            seed=seed,
            styles=tuple(style.name for style in styles),
            looks=[(planned.style.name, planned.look.name) for planned in plan],
            consent=VERSION,
            photos=stored,
            keys=[photo_row, avatar_row],
            slot=self._slot,
            photos_until=photos_until,
            avatars_until=avatars_until,
        )

    def _delete_unaccepted(self) -> None:
        if self._service.safe.database.read(generations.get, self.id) is None:
            erase_upload(self._service.safe, self.id)


def _commit(
    connection: sa.Connection,
    service: Service,
    new: NewGeneration,
    *,
    digests: list[str],
    key: str | None,
    content: bytes,
) -> None:
    """Accept: all of it, or nothing."""
    if not deadlines.drop(connection, "upload", new.id):
        raise UploadTimeoutError("The upload took too long, and its photos are deleted. Send it again.")
    if not quota.use(connection, new.slot, new.id):
        raise UploadRunningError  # the reservation ran out, and the slot is another upload's by now
    generations.accept(connection, new, service.settings)
    sign_deletion(connection, service.safe, new.id, new.owner, what="originals", digests=digests, key="in memory")
    if key is not None:
        idempotency.settle(connection, new.owner, key, content, new.id)
    accepted = generations.get(connection, new.id)
    assert accepted is not None
    service.jobs.enqueue(connection, new.id, accepted.goes_at)


def _expect(connection: sa.Connection, upload: str, lives_s: float) -> float:
    now = clock(connection)
    deadlines.set_deadline(connection, "upload", upload, now + lives_s)
    return now


def _view(connection: sa.Connection, generation: str, owner: str, lease_s: float) -> GenerationView:
    found = generations.get_owned(connection, generation, owner)
    running = found.state in generations.RUNNING
    position = generations.ahead_of(connection, found) if found.state == "queued" else None
    queue = generations.estimate(connection, lease_s) if running else None
    return view_generation(found, generations.avatars_of(connection, found), position, queue)
