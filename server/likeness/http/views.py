"""What the API answers, as structs; their descriptions and examples are those of the OpenAPI document."""

from __future__ import annotations

import datetime
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from likeness.errors import PhotoResult
from likeness.records.gallery import Picture, Saved, Story
from likeness.records.generations import AvatarRow, Generation
from likeness.records.quota import Left

T = TypeVar("T")
Time = Annotated[datetime.datetime, Meta(tz=True, description="RFC 3339, UTC.")]


def moment(seconds: float) -> datetime.datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def maybe(seconds: float | None) -> datetime.datetime | None:
    """The same, for what may not have happened."""
    return None if seconds is None else moment(seconds)


class Items(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list; `next` is the cursor of the page after it."""

    items: list[T]
    next: str | None = None


class AvatarView(msgspec.Struct, frozen=True):
    """One of a generation's avatars; `url` while its image can be had, `saved_as` once it is in the gallery."""

    index: int
    style: str
    look: str
    state: Literal["pending", "ready", "saved", "discarded", "refused", "failed", "expired"]
    url: str | None
    saved_as: str | None


class Progress(msgspec.Struct, frozen=True):
    """Avatars that are settled, of all."""

    drawn: int
    of: int


class Deadlines(msgspec.Struct, frozen=True):
    """When photos and unsaved avatars are gone at the latest; `..._deleted_at` once they are."""

    photos: Time
    avatars: Time
    photos_deleted_at: Time | None
    avatars_deleted_at: Time | None


class GenerationView(msgspec.Struct, frozen=True, kw_only=True):
    """A generation. `position` and `eta_s` (seconds until all is drawn) are there while it waits or is drawn; `photos`
    says of every photo given whether it is used, and if not, why.
    """

    id: str
    status: Literal["queued", "rendering", "done", "failed", "cancelled", "expired"]
    reason: Annotated[str | None, Meta(description="too_few_avatars, too_late, gave_up or cancelled.")]
    styles: list[str]
    photos: list[PhotoResult]
    seed: int
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    progress: Progress
    position: int | None
    eta_s: float | None
    deadlines: Deadlines
    avatars: list[AvatarView]
    events_url: str
    receipt_url: str


class GenerationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A generation in the list."""

    id: str
    status: Literal["queued", "rendering", "done", "failed", "cancelled", "expired"]
    styles: list[str]
    created_at: Time
    url: str


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which avatars are meant."""

    avatars: Annotated[
        list[Annotated[int, Meta(ge=0)]] | Literal["all"],
        Meta(description="Indexes, or `all` that are ready.", examples=[[0, 3], "all"]),
    ]


class SavedItem(msgspec.Struct, frozen=True):
    """A saved avatar: its index in the generation, its id in the gallery."""

    index: int
    avatar: str


class Discarded(msgspec.Struct, frozen=True):
    """The indexes of the avatars that are discarded now."""

    items: list[int]


class GalleryItem(msgspec.Struct, frozen=True):
    """A saved avatar."""

    avatar: str
    style: str
    look: str
    generation: str
    index: int
    saved_at: Time
    url: str


class AvatarChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A saved avatar by its gallery id."""

    avatar: str


class PictureView(msgspec.Struct, frozen=True):
    """The profile picture; `url` is public and stays the same when the picture changes."""

    avatar: str
    url: str
    set_at: Time


class NewStory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A story to post."""

    avatar: str
    caption: Annotated[str, Meta(max_length=500)] = ""


class StoryView(msgspec.Struct, frozen=True):
    """A posted story; `url` is public until `until`."""

    id: str
    avatar: str
    caption: str
    url: str
    posted_at: Time
    until: Time


class Trend(msgspec.Struct, frozen=True):
    """How often a style was chosen, saved and published; `score` weighs them 1, 2 and 3."""

    chosen: int
    saved: int
    published: int

    @property
    def score(self) -> int:
        """What styles are ranked by."""
        return self.chosen + 2 * self.saved + 3 * self.published


class Trends(msgspec.Struct, frozen=True):
    """Counts of today, of the last seven days, and of all time (UTC)."""

    day: Trend
    week: Trend
    all: Trend


class StyleView(msgspec.Struct, frozen=True):
    """An installed style."""

    name: str
    title: str
    description: str
    author: str
    licence: str
    looks: list[str]
    preview_url: str | None
    trend: Trends


class QuotaView(msgspec.Struct, frozen=True):
    """What the user may still start today."""

    tier: Literal["lite", "plus"]
    limit: int
    remaining: int
    resets_at: Time


class PhotoCheck(msgspec.Struct, frozen=True):
    """A photo that would be accepted; `quality` is 0..1, by sharpness, light, and how large, frontal and whole the
    face is.
    """

    accepted: bool
    quality: Annotated[float, Meta(ge=0, le=1)]


class PolicyView(msgspec.Struct, frozen=True):
    """What a user consents to: the version to send as `consent`, the text to show, whether the faces of an upload are
    compared with each other, and the promises in seconds.
    """

    version: str
    text: str
    faces_compared: bool
    photos_deleted_after_s: float
    photos_live_at_most_s: float
    unsaved_avatars_live_s: float
    stories_live_s: float


class ReceiptView(msgspec.Struct, frozen=True):
    """A receipt: a signed JWS (EdDSA) that names what was deleted, when, and the sha256 of each ciphertext."""

    generation: str
    jws: str


class SessionView(msgspec.Struct, frozen=True):
    """When the session cookie ends."""

    until: Time


class Health(msgspec.Struct, frozen=True):
    """Whether the server can take work, what is wrong if it cannot, and whether it compares the faces of an upload."""

    ready: bool
    problems: list[str]
    style_problems: list[str] = []
    faces_compared: bool = False


def view_generation(
    found: Generation, avatars: list[AvatarRow], position: int | None, eta_s: float | None, base: str = ""
) -> GenerationView:
    """A generation as its user sees it; `base` goes before the paths of its links."""
    drawn = sum(row.state not in ("pending",) for row in avatars)
    return GenerationView(
        id=found.id,
        status=found.state,
        reason=found.reason,
        styles=list(found.styles),
        photos=list(found.photo_results),
        seed=found.seed,
        created_at=moment(found.created_at),
        started_at=maybe(found.started_at),
        ended_at=maybe(found.ended_at),
        progress=Progress(drawn, len(avatars)),
        position=position,
        eta_s=None if eta_s is None else round(eta_s, 1),
        deadlines=Deadlines(
            moment(found.photos_until),
            moment(found.avatars_until),
            maybe(found.photos_deleted_at),
            maybe(found.avatars_deleted_at),
        ),
        avatars=[_view_avatar(found.id, row, base) for row in avatars],
        events_url=f"{base}/v1/generations/{found.id}/events",
        receipt_url=f"{base}/v1/generations/{found.id}/receipt",
    )


def view_summary(found: Generation, base: str) -> GenerationSummary:
    """A generation in the list."""
    return GenerationSummary(
        id=found.id,
        status=found.state,
        styles=list(found.styles),
        created_at=moment(found.created_at),
        url=f"{base}/v1/generations/{found.id}",
    )


def view_saved(saved: Saved, base: str) -> GalleryItem:
    """A saved avatar as its user sees it."""
    url = f"{base}/v1/gallery/{saved.id}/image"
    return GalleryItem(saved.id, saved.style, saved.look, saved.generation, saved.index, moment(saved.saved_at), url)


def view_picture(picture: Picture, public_url: str) -> PictureView:
    """The profile picture as its user sees it."""
    return PictureView(picture.avatar, f"{public_url}/p/{picture.token}", moment(picture.set_at))


def view_story(story: Story, public_url: str) -> StoryView:
    """A story as its user sees it."""
    url = f"{public_url}/p/{story.token}"
    return StoryView(story.id, story.avatar, story.caption, url, moment(story.posted_at), moment(story.until))


def view_quota(tier: Literal["lite", "plus"], left: Left) -> QuotaView:
    """What is left today."""
    return QuotaView(tier, left.limit, left.remaining, moment(left.resets_at))


def _view_avatar(generation: str, row: AvatarRow, base: str) -> AvatarView:
    url = f"{base}/v1/generations/{generation}/avatars/{row.index}" if row.object else None
    return AvatarView(row.index, row.style, row.look, row.state, url, row.saved_as)  # type: ignore[arg-type]
