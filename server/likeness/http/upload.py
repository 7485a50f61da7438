"""An upload's whole way: body to encrypted originals, originals to crops in the limited process, crops to the store,
and one transaction that accepts everything, or nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from litestar import MediaType, Request, Response

from likeness.database import UnavailableError, clock
from likeness.http.links import add_base
from likeness.http.service import HELD_S, Service
from likeness.http.views import GenerationView, view_generation
from likeness.intake import DecodedPhotos, Form, FormLimits, PhotoSink, UploadTimeoutError, read_form
from likeness.packs import DEFAULT_STYLES, choose_styles, faces_compared
from likeness.plan import plan_renders
from likeness.policy import policy_version
from likeness.records import audit, deadlines, generations, idempotency, queue, quota, trends
from likeness.records.generations import NewGeneration, NewPhoto
from likeness.records.quota import Slot
from likeness.refusals import ConsentError, UploadRunningError
from likeness.retention import erase_upload, sign_deletion
from likeness.safe import Place
from likeness.settings import Settings
from likeness.users import User
from likeness.vault import Decryptor, Encryptor, StorageError, context, new_key
from likeness_plugins import Style

logger = logging.getLogger(__name__)
ACCEPTED: Final = 202
# A photo's ciphertext is stored in objects of about this size: the memory that an upload under way takes.
PIECE_BYTES: Final = 4 << 20


class Originals:
    """The uploaded photos in the store, under a key that is in this object alone.

    A photo is a sequence of whole objects, `uploads/{upload}/{index}-{piece}`: nothing is uploaded in parts, which S3
    would keep out of sight when a crash leaves them incomplete. Their stream tells when one is missing or cut.
    """

    def __init__(self, service: Service, upload: str) -> None:
        self.digests: list[str] = []
        self._service = service
        self._upload = upload
        self._key = new_key()
        self._photos: list[_Original] = []

    async def open(self, index: int) -> _Original:
        """Begin to store a photo."""
        photo = _Original(self, index, Encryptor(self._key, self._context(index)))
        self._photos.append(photo)
        return photo

    async def abandon(self) -> None:
        """Wait for the piece that a thread may still be storing: what `delete` is to find must be there by then."""
        for photo in self._photos:
            await photo.settle()

    async def chunks(self, index: int) -> AsyncIterator[bytes]:
        """A photo's bytes in pieces, authenticated; never whole in memory."""
        pieces = self._plain(index)
        while (piece := await self._service.run(next, pieces, None)) is not None:
            yield piece

    async def put(self, index: int, piece: int, sealed: bytes) -> None:
        """Store a piece of a photo's ciphertext; its object is complete when this returns."""
        await self._service.run(self._service.safe.objects.put, self._name(index, piece), sealed)

    def delete(self) -> None:
        """Delete all of them; their key goes with this object."""
        objects = self._service.safe.objects
        objects.delete_many(list(objects.names(f"uploads/{self._upload}/")))

    def _plain(self, index: int) -> Iterator[bytes]:
        decryptor = Decryptor(self._key, self._context(index))
        for piece in range(self._photos[index].pieces):
            yield decryptor.update(self._sealed(index, piece))
        yield decryptor.finish()

    def _sealed(self, index: int, piece: int) -> bytes:
        try:
            return self._service.safe.objects.get(self._name(index, piece))
        except FileNotFoundError as exc:
            raise StorageError("An uploaded photo is not in the store any more. Send the photos again.") from exc

    def _name(self, index: int, piece: int) -> str:
        return f"uploads/{self._upload}/{index}-{piece}"

    def _context(self, index: int) -> bytes:
        return context(self._upload, index, "original")


class _Original:
    """One photo on its way to the store, at most one piece of it in memory."""

    def __init__(self, originals: Originals, index: int, encryptor: Encryptor) -> None:
        self.pieces = 0
        self._originals = originals
        self._index = index
        self._encryptor = encryptor
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self._storing: asyncio.Task[None] | None = None

    async def write(self, data: bytes) -> None:
        """Encrypt, and store what makes a piece."""
        self._waiting += self._encryptor.update(data)
        if len(self._waiting) >= PIECE_BYTES:
            await self._store()

    async def close(self) -> None:
        """Store the rest; the photo is complete when this returns."""
        self._waiting += self._encryptor.finish()
        await self._store()
        self._originals.digests.append(self._digest.hexdigest())

    async def settle(self) -> None:
        """Wait for a piece whose upload was given up while a thread was storing it."""
        if self._storing is not None:
            await asyncio.gather(self._storing, return_exceptions=True)

    async def _store(self) -> None:
        sealed, self._waiting = bytes(self._waiting), bytearray()
        self._digest.update(sealed)
        self._storing = asyncio.create_task(self._originals.put(self._index, self.pieces, sealed))
        # A cancelled upload does not stop the thread.
        await asyncio.shield(self._storing)
        self.pieces += 1


async def receive_upload(service: Service, request: Request[Any, Any, Any], user: User, slot: Slot) -> tuple[str, str]:
    """Take an upload in and queue its generation; answers its id and what to send (JSON). If anything goes wrong,
    nothing of it stays.
    """
    upload, key = _Upload(service, user, slot), request.scope["state"].get("idempotency_key")
    holding = asyncio.create_task(_hold(service, slot, key))
    try:
        await upload.expect()
        form = await read_upload(service, request, upload.originals)
        styles = upload.check(form)
        decoded = await upload.decode(form)
        new = await upload.store(form, styles, decoded)
        digests = upload.originals.digests
        answer = await service.write(_commit, service, new, digests=digests, key=key, content=form.digest)
    finally:
        holding.cancel()
        # Also when the client went away and this task was cancelled: then the work goes on beside it.
        await asyncio.shield(upload.clean())
    return upload.id, answer


async def _hold(service: Service, slot: Slot, key: str | None) -> None:
    """Keep slot and key for as long as the upload is under way here."""
    while True:
        await asyncio.sleep(HELD_S / 3)
        try:
            await service.write(_renew, slot, key)
        except UnavailableError:
            logger.warning("The database does not answer; an upload may lose its slot.")


def _renew(connection: sa.Connection, slot: Slot, key: str | None) -> None:
    quota.renew(connection, slot, HELD_S)
    if key is not None:
        idempotency.renew(connection, slot.owner, key, HELD_S)


def accepted_response(generation: str, answer: str, base: str) -> Response[Any]:
    """The 202 that an accepted upload gets, the first time and every time its Idempotency-Key comes again; `base` is
    the base path of the request at hand, which may come another way than the first.
    """
    headers = {"Location": f"{base}/v1/generations/{generation}"}
    return Response(add_base(answer, base), status_code=ACCEPTED, headers=headers, media_type=MediaType.JSON)


def encode_answer(view: GenerationView) -> str:
    """What to send of an accepted generation, and to keep with its Idempotency-Key: without a base path."""
    return msgspec.json.encode(view).decode()


async def view_of(service: Service, generation: str, owner: str, base: str) -> GenerationView:
    """A generation as its user sees it now, its links below a base path."""
    return await service.read(_view, generation, owner, service.settings, base)


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
        self._policy = policy_version(faces_compared(service.catalogue))
        self._started = 0.0  # by the database's clock; the photos' time counts from here
        self._storing: asyncio.Future[NewGeneration] | None = None

    async def expect(self) -> None:
        """Set the deadline of what is stored from now on."""
        self._started = await self._service.write(_expect, self.id, self._service.settings.upload_most_s)

    def check(self, form: Form) -> list[Style]:
        """The fields, before any photo is looked at; answers the styles."""
        if form.consent != self._policy:
            raise ConsentError(self._policy, given=form.consent is not None)
        return choose_styles(self._service.catalogue, form.styles or DEFAULT_STYLES)

    async def decode(self, form: Form) -> DecodedPhotos:
        """The crops of the photos that are used, read in a process that can do no harm."""
        async with self._service.decoders.take() as decoder:
            photos = [self.originals.chunks(index) for index in range(form.photo_count)]
            return await decoder.read(photos, self._user.owner)

    async def store(self, form: Form, styles: Sequence[Style], decoded: DecodedPhotos) -> NewGeneration:
        """Store the crops and delete the originals; answers what is to be committed."""
        self._storing = asyncio.ensure_future(self._service.run(self._store, form, styles, decoded))
        return await asyncio.shield(self._storing)

    async def clean(self) -> None:
        """After a refusal, delete everything; after acceptance there is nothing left to delete."""
        await self.originals.abandon()
        if self._storing is not None:  # the thread goes on when the client goes away: wait, or it would store later
            await asyncio.gather(self._storing, return_exceptions=True)
        await self._service.run(self._delete_unaccepted)

    def _store(self, form: Form, styles: Sequence[Style], decoded: DecodedPhotos) -> NewGeneration:
        safe, settings = self._service.safe, self._service.settings
        photos_until = self._started + settings.photos_most_s
        avatars_until = photos_until + settings.avatars_after_s
        photo_key, photo_row = safe.new_key(self.id, "photo", photos_until)
        _, avatar_row = safe.new_key(self.id, "avatar", avatars_until)
        stored = []
        for index, photo in enumerate(decoded.photos):
            name, digest = safe.put(Place(self.id, index, "photo"), photo_key, photo.pixels)
            stored.append(NewPhoto(name, digest, photo.quality))
        if safe.objects.missing([photo.object for photo in stored]):
            raise StorageError("The store of objects has lost photos that it had taken. Send them again.")
        self.originals.delete()
        seed = secrets.randbits(32) if form.seed is None else form.seed
        plan = plan_renders(styles, [photo.quality for photo in decoded.photos], settings.avatars, seed)
        return NewGeneration(
            id=self.id,
            owner=self._user.owner,
            tier=self._user.tier,
            seed=seed,
            styles=tuple(style.name for style in styles),
            photo_results=decoded.results,
            looks=[(planned.style.name, planned.look.name) for planned in plan],
            consent=self._policy,
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
) -> str:
    """Accept: all of it, or nothing. Answers what to send."""
    if not deadlines.drop(connection, "upload", new.id):
        raise UploadTimeoutError("The upload took too long, and its photos are deleted. Send it again.")
    if not quota.use(connection, new.slot, new.id):
        raise UploadRunningError  # the reservation ran out, and the slot is another upload's by now
    generations.accept(connection, new, service.settings)
    sign_deletion(connection, service.safe, new.id, new.owner, what="originals", digests=digests, key="in memory")
    accepted = generations.get_owned(connection, new.id, new.owner)
    service.jobs.enqueue(connection, new.id, accepted.goes_at)
    answer = encode_answer(_view(connection, new.id, new.owner, service.settings, base=""))
    if key is not None:
        idempotency.settle(connection, new.owner, key, content, generation=new.id, answer=answer)
    audit.note(connection, "upload", new.id, objects=len(digests))
    trends.count(connection, "chosen", new.styles)
    return answer


def _expect(connection: sa.Connection, upload: str, lives_s: float) -> float:
    now = clock(connection)
    deadlines.set_deadline(connection, "upload", upload, now + lives_s)
    return now


def _view(connection: sa.Connection, generation: str, owner: str, settings: Settings, base: str) -> GenerationView:
    found = generations.get_owned(connection, generation, owner)
    position = queue.ahead_of(connection, found) if found.state == "queued" else None
    eta_s = queue.eta_s(connection, found, settings)
    return view_generation(found, generations.avatars_of(connection, found), position, eta_s, base)
