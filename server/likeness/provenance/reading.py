"""Reading back what a picture says of its making: the C2PA manifests in it, and the IPTC mark in its XMP.

Any file may be given, so nothing in it is believed before its signature is checked, and nothing is fetched that it
points to.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
from PIL import Image

from likeness.provenance.development import ORGANISATION
from likeness.provenance.encode import COMPOSITE_SOURCE_TYPE, DIGITAL_SOURCE_TYPE

OFFLINE: Final = {"remote_manifest_fetch": False, "ocsp_fetch": False}
# What a model made, or made part of.
BY_MODEL: Final = (DIGITAL_SOURCE_TYPE, COMPOSITE_SOURCE_TYPE)
FORMATS: Final = ("WEBP", "PNG", "JPEG", "AVIF")
Signature = Literal["trusted", "untrusted", "expired", "broken", "none"]
_ENDED: Final = {"signingCredential.expired", "claimSignature.outsideValidity"}
_MARK: Final = re.compile(r"""DigitalSourceType(?:\s+rdf:resource)?\s*(?:=\s*["']|>\s*)([^"'<\s]+)""")


class Origin(msgspec.Struct, frozen=True):
    """What one manifest says: the actions it lists, the source types in them, when the picture was made by the signer's
    own clock, the program, and the subject of the certificate.
    """

    signed_by: str
    development: bool
    program: str
    made_at: str | None
    actions: list[str]
    source_types: list[str]


class Provenance(msgspec.Struct, frozen=True):
    """What a picture carries. `by_model` is what it says, None when it says nothing; `signature` is whether to believe
    it, and `reasons` are C2PA's codes where it is not to be. `parents` are the pictures it was made of, nearest first.
    """

    by_model: bool | None
    signature: Signature
    reasons: list[str]
    origin: Origin | None
    parents: list[Origin]
    xmp: str | None

    @property
    def holds(self) -> bool:
        """Whether it carries a mark, and no broken one."""
        return self.signature in ("trusted", "untrusted") or (self.signature == "none" and self.xmp is not None)


def read_provenance(picture: bytes, trusted: str = "") -> Provenance:
    """What a picture says of its making; `trusted` are certificates (PEM) of authorities to believe."""
    store, reasons = _read_store(picture, trusted)
    xmp = _read_xmp(picture)
    if store is None:
        by_model = xmp in BY_MODEL if xmp else None
        return Provenance(by_model, "broken" if reasons else "none", reasons, None, [], xmp)
    origin, *parents = [_origin(manifest) for manifest in _line(store)]
    types = {kind for each in (origin, *parents) for kind in each.source_types} | ({xmp} if xmp else set())
    return Provenance(
        by_model=bool(types & set(BY_MODEL)) if types else None,
        signature=_signature(store, reasons),
        reasons=reasons,
        origin=origin,
        parents=parents,
        xmp=xmp,
    )


def read_state(picture: bytes) -> str:
    """C2PA's own verdict on a signed picture: Trusted, Valid or Invalid; raises c2pa's errors."""
    import c2pa  # noqa: PLC0415 - a library of 23 MB

    with c2pa.Context.from_dict({"verify": OFFLINE}) as context:
        return str(c2pa.Reader(None, io.BytesIO(picture), context=context).get_validation_state())


def _read_store(picture: bytes, trusted: str) -> tuple[dict[str, Any] | None, list[str]]:
    """The manifests as c2pa's JSON, None when there are none or they cannot be read; and the codes of what is wrong."""
    import c2pa  # noqa: PLC0415

    settings: dict[str, Any] = {"verify": {**OFFLINE, "verify_trust": True}}
    if trusted:
        settings["trust"] = {"trust_anchors": trusted}
    try:
        with c2pa.Context.from_dict(settings) as context:
            store: dict[str, Any] = json.loads(c2pa.Reader(None, io.BytesIO(picture), context=context).json())
    except c2pa.C2paError as error:
        # Its subclasses are attributes of it that no type checker sees.
        nothing_there = type(error).__name__.endswith(("ManifestNotFound", "NotSupported"))
        return None, [] if nothing_there else [str(error)]
    codes = [status["code"] for status in store.get("validation_status", [])]
    return store, [code for code in codes if code != "signingCredential.untrusted"]


def _signature(store: dict[str, Any], reasons: list[str]) -> Signature:
    if store["validation_state"] != "Invalid":
        return "trusted" if store["validation_state"] == "Trusted" else "untrusted"
    return "expired" if reasons and set(reasons) <= _ENDED else "broken"


def _line(store: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The picture's own manifest, its parent's, and so on; each once, however the file has them point at each other."""
    manifests = dict(store["manifests"])
    label = store["active_manifest"]
    while manifest := manifests.pop(label, None):
        yield manifest
        parents = [each for each in manifest.get("ingredients", []) if each.get("relationship") == "parentOf"]
        label = parents[0].get("active_manifest") if parents else None


def _origin(manifest: dict[str, Any]) -> Origin:
    actions = [action for assertion in manifest.get("assertions", []) for action in _actions(assertion)]
    signer = manifest.get("signature_info", {})
    # What c2pa calls the issuer is the organisation of the signer.
    names = [signer.get("issuer"), signer.get("common_name")]
    programs = [_program(each) for each in manifest.get("claim_generator_info", [])]
    return Origin(
        signed_by=", ".join(name for name in names if name) or "nobody named",
        development=signer.get("issuer") == ORGANISATION,
        program=", ".join(programs) or str(manifest.get("claim_generator", "unknown")),
        made_at=next((str(each["when"]) for each in actions if each.get("when")), None),
        actions=[str(each.get("action")) for each in actions],
        source_types=[str(each["digitalSourceType"]) for each in actions if each.get("digitalSourceType")],
    )


def _actions(assertion: dict[str, Any]) -> list[dict[str, Any]]:
    data = assertion.get("data")
    named = str(assertion.get("label", "")).startswith("c2pa.actions")
    return list(data.get("actions", [])) if named and isinstance(data, dict) else []


def _program(info: dict[str, Any]) -> str:
    return f"{info.get('name', 'unknown')} {info.get('version', '')}".strip()


def _read_xmp(picture: bytes) -> str | None:
    """The IPTC digital source type in a picture's XMP, None when there is none, or no picture."""
    try:
        with Image.open(io.BytesIO(picture), formats=FORMATS) as opened:
            packet = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp") or b""
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    found = _MARK.search(text)
    return found[1] if found else None
