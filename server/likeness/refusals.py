"""What the service refuses over HTTP: one class a reason, each with its status, its stable code and its sentence.

LikenessError
└── ServiceError             may carry response headers and more members of the problem
    ├── InputError           400        ├── GoneError            410
    ├── UnauthorizedError    401        ├── ConsentError         422
    ├── PaymentError         402        ├── KeyReusedError       422
    ├── ForeignOriginError   403        ├── QuotaError           429
    ├── RegionError          403        ├── UploadRunningError   429
    ├── NotFoundError        404        ├── AttemptsError        429
    ├── NotAcceptableError   406        └── OverloadedError      503
    ├── EncodedBodyError     415        AttemptsError
    └── ConflictError        409        └── ChecksError      429
        └── InProgressError  409
"""

from __future__ import annotations

import math

from likeness.errors import LikenessError


class ServiceError(LikenessError):
    """Base: `headers` go out with the problem, `extra` into it."""

    headers: dict[str, str]
    extra: dict[str, object]

    def __init__(self, message: str) -> None:
        self.headers = {}
        self.extra = {}
        super().__init__(message)


class InputError(ServiceError):
    """A request that does not have the documented form."""

    code = "bad_request"
    status = 400


class UnauthorizedError(ServiceError):
    """No token, or one that is expired, forged, for somebody else, or of another algorithm."""

    code = "unauthorized"
    status = 401

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": 'Bearer realm="likeness"'}


class PaymentError(ServiceError):
    """The user's tier must upgrade first."""

    code = "payment_required"
    status = 402

    def __init__(self, tier: str, upgrade_url: str) -> None:
        super().__init__(f"The plan {tier} does not include avatars. Upgrade to another plan.")
        self.extra = {"upgrade_url": upgrade_url}


class ForeignOriginError(ServiceError):
    """A browser sent the request from, or to, another site's address."""

    code = "foreign_origin"
    status = 403


class RegionError(ServiceError):
    """The user's region is not served."""

    code = "region_not_enabled"
    status = 403

    def __init__(self) -> None:
        super().__init__("Avatars are not available in your region.")


class NotFoundError(ServiceError):
    """Nothing of the user's has this id; another user's things look the same."""

    code = "not_found"
    status = 404

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what}. Check its id.")


class NotAcceptableError(ServiceError):
    """No offered format is accepted."""

    code = "not_acceptable"
    status = 406

    def __init__(self) -> None:
        super().__init__("Images come as image/webp, image/png, image/jpeg and image/avif. Accept one of them.")


class EncodedBodyError(ServiceError):
    """The body is compressed."""

    code = "unsupported_media_type"
    status = 415

    def __init__(self) -> None:
        super().__init__("The body is compressed (Content-Encoding). Send it without compression.")
        self.headers = {"Accept-Encoding": "identity"}  # RFC 9110, 15.5.16


class ConflictError(ServiceError):
    """The thing is not in a state that allows this."""

    code = "conflict"
    status = 409


class InProgressError(ConflictError):
    """A request with the same Idempotency-Key has not ended."""

    code = "request_in_progress"

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is still in progress. Wait for it to end.")
        self.headers = {"Retry-After": "5"}


class GoneError(ServiceError):
    """It was the user's, and is past its deadline or deleted."""

    code = "expired"
    status = 410

    def __init__(self, what: str) -> None:
        super().__init__(f"This {what} has been deleted.")


class ConsentError(ServiceError):
    """No consent, or to an older policy."""

    code = "consent_required"
    status = 422

    def __init__(self, version: str, given: bool) -> None:
        why = "The policy has changed since this consent" if given else "Consent to the policy is missing"
        super().__init__(f"{why}. Show GET /v1/policy to the user and send consent={version}.")


class KeyReusedError(ServiceError):
    """The Idempotency-Key belongs to a request with other content."""

    code = "idempotency_key_reused"
    status = 422

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used with other photos or fields. Use a new one.")


class QuotaError(ServiceError):
    """The day's generations are used up."""

    code = "quota_exceeded"
    status = 429

    def __init__(self, limit: int, seconds: float) -> None:
        plural = "s" * (limit != 1)
        when = f"after 00:00 UTC, in {_span(seconds)}"
        super().__init__(f"The limit is {limit} generation{plural} a day (UTC). Try again {when}.")
        wait = math.ceil(seconds)
        # draft-ietf-httpapi-ratelimit-headers-10
        self.headers = {
            "Retry-After": str(wait),
            "RateLimit-Policy": f'"daily";q={limit};w=86400',
            "RateLimit": f'"daily";r=0;t={wait}',
        }


class UploadRunningError(ServiceError):
    """Another upload of the user holds the last slot and has not ended."""

    code = "upload_in_progress"
    status = 429

    def __init__(self) -> None:
        super().__init__("Another upload of yours is in progress. Wait for it to end.")
        self.headers = {"Retry-After": "5"}


class AttemptsError(ServiceError):
    """Too many refused uploads."""

    code = "too_many_attempts"
    status = 429

    def __init__(self, seconds: float, why: str = "Too many uploads were refused in the last hour.") -> None:
        super().__init__(f"{why} Try again in {_span(seconds)}.")
        self.headers = {"Retry-After": str(math.ceil(seconds))}


class ChecksError(AttemptsError):
    """Too many photos were checked before an upload."""

    def __init__(self, most: int, seconds: float) -> None:
        super().__init__(seconds, f"{most} photos were checked in the last hour; uploads need no check.")


class OverloadedError(ServiceError):
    """The queue is too long to keep the promise about photos."""

    code = "overloaded"
    status = 503

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many generations are waiting. Try again later.")
        self.headers = {"Retry-After": str(max(1, math.ceil(seconds)))}


def _span(seconds: float) -> str:
    """A wait in hours and minutes, rounded up: `3 h 20 min`."""
    hours, minutes = divmod(max(1, math.ceil(seconds / 60)), 60)
    return " ".join([f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0))
