"""Signing avatars as made by a model: a C2PA manifest in each file, beside the IPTC mark in its XMP.

A manifest says which program made the picture, when, and that a model did; nothing of the user, the photos or the
prompt. Signing is offline. It costs under a millisecond; what would make it expensive is off (see `_SETTINGS`).
"""

from __future__ import annotations

import datetime
import io
import logging
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from likeness import __version__
from likeness.errors import SettingsError
from likeness.provenance.credential import Credential, development_credential, read_credential
from likeness.provenance.encode import DIGITAL_SOURCE_TYPE, WEBP, encode
from likeness.provenance.errors import SigningError
from likeness.provenance.reading import OFFLINE, read_state
from likeness_plugins import KeyStore

_SETTINGS: Final = {
    # c2pa's thumbnail of a 55 kB avatar is a PNG of two megabytes.
    "builder": {"thumbnail": {"enabled": False}},
    # Whether the certificate signs well is tried once, when the marker is opened; each time it would double the cost.
    "verify": {**OFFLINE, "verify_after_sign": False},
}
_GENERATOR: Final = {"name": "Likeness", "version": __version__}
_PARENT: Final = "parent"
logger = logging.getLogger(__name__)
ENDS_SOON_S: Final = 30 * 86400.0
_NEEDS: Final = (
    "It takes certificates for signing (digitalSignature) with the extended key usage emailProtection or document"
    " signing, issued by another certificate. Give such a one as c2pa_certificate"
)


class Marker:
    """Encodes and signs; safe for threads."""

    def __init__(self, credential: Credential) -> None:
        import c2pa  # noqa: PLC0415 - a library of 23 MB

        self._c2pa = c2pa
        self._credential = credential
        try:
            signer = c2pa.Signer.from_info(
                c2pa.C2paSignerInfo(credential.algorithm, credential.chain, credential.key, None)
            )
            self._context = c2pa.Context.from_dict(_SETTINGS, signer=signer)
            state = read_state(self.mark(np.zeros((8, 8, 3), np.uint8)))
        except (c2pa.C2paError, SigningError) as error:
            reason = error.reason if isinstance(error, SigningError) else str(error)
            raise SettingsError(f"C2PA refuses {credential.source} ({reason}). {_NEEDS}.") from error
        if state not in ("Valid", "Trusted"):
            raise SettingsError(f"What {credential.source} signs does not read back as valid. {_NEEDS}.")

    def mark(self, pixels: NDArray[np.uint8], media_type: str = WEBP, source: str = DIGITAL_SOURCE_TYPE) -> bytes:
        """Encode uint8 HxWx3 RGB as a picture that was made now; `source` is its IPTC digital source type."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        created = {"action": "c2pa.created", "when": now, "digitalSourceType": source}
        return self._sign(encode(pixels, media_type, source), media_type, [created], None)

    def derive(self, parent: bytes, pixels: NDArray[np.uint8], media_type: str, *actions: str) -> bytes:
        """Encode a picture made of a marked WebP, which becomes its parent; `actions` are C2PA's, such as
        `c2pa.resized`.
        """
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT]}}
        return self._sign(
            encode(pixels, media_type), media_type, [opened, *({"action": action} for action in actions)], parent
        )

    @property
    def is_development(self) -> bool:
        """Whether the certificate is self-made."""
        return self._credential.development

    def problem(self) -> str | None:
        """Why nothing can be signed any more, if so."""
        if time.time() < self._credential.until:
            return None
        return f"The certificate in {self._credential.source} has ended. Put another in its place and start again."

    def notices(self) -> list[str]:
        """What the operator must know, for the start."""
        said = []
        if self.is_development:
            said.append(
                "Avatars are signed with a self-made development certificate, which proves nothing about who signed."
                " Set c2pa_certificate and c2pa_key before others rely on it."
            )
        if self._credential.until - time.time() < ENDS_SOON_S:
            said.append(f"The certificate in {self._credential.source} ends within 30 days. Have the next one ready.")
        return said

    def _sign(self, picture: bytes, media_type: str, actions: list[dict[str, Any]], parent: bytes | None) -> bytes:
        actions_made = {"actions": actions, "allActionsIncluded": True}
        definition = {
            "claim_generator_info": [_GENERATOR],
            "assertions": [{"label": "c2pa.actions.v2", "created": True, "data": actions_made}],
        }
        signed = io.BytesIO()
        try:
            builder = self._c2pa.Builder(definition, context=self._context)
            if parent is not None:
                builder.add_ingredient({"relationship": "parentOf", "label": _PARENT}, WEBP, io.BytesIO(parent))
            builder.sign(media_type, io.BytesIO(picture), signed)
        except self._c2pa.C2paError as error:
            logger.error("C2PA does not sign with %s: %s", self._credential.source, error)
            raise SigningError(str(error)) from error
        return signed.getvalue()


def open_marker(certificate: str, key: str, keys: KeyStore | None) -> Marker:
    """The marker of the settings `c2pa_certificate` and `c2pa_key`; without them one with a development certificate,
    from among the keys, or without a store of keys for this process alone. Raises SettingsError.
    """
    if bool(certificate) != bool(key):
        raise SettingsError("Only one of c2pa_certificate and c2pa_key is set. Set both or neither.")
    if certificate:
        return Marker(read_credential(Path(certificate), Path(key)))
    return Marker(development_credential(keys))
