"""`likeness provenance`: what pictures say of their making, in sentences or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from likeness.cli.listing import print_json
from likeness.file_names import readable
from likeness.provenance import COMPOSITE_SOURCE_TYPE, Origin, Provenance, TrustFileError, read_provenance

UNREADABLE: Final = 2
_SIGNATURES: Final = {
    "trusted": "valid, by a signer that you trust: unchanged since it was signed",
    "untrusted": "valid, by a signer that is not among those you trust (--trust): unchanged since it was signed",
    "expired": "the picture is unchanged, but the certificate has ended, and nothing proves that it was signed before",
    "broken": "BROKEN: do not believe what it says",
    "none": "none: what it says can be removed or forged by anybody",
}
_REASONS: Final = {
    "assertion.dataHash.mismatch": "the picture was changed after it was signed",
    "claimSignature.mismatch": "the signature does not fit what was signed",
    "assertion.hashedURI.mismatch": "what was signed was changed",
    "signingCredential.expired": "the certificate has ended",
}


class Shown(msgspec.Struct, frozen=True):
    """A picture's provenance, with its file name; what `--json` prints a list of."""

    file: str
    holds: bool
    provenance: Provenance


def show_provenance(files: Sequence[Path], trust: Path | None, *, as_json: bool) -> int:
    """Print what each picture says; 0 when all carry a mark that holds, 1 when one does not, 2 when one is no file."""
    trusted, shown, failed = _read_trusted(trust) if trust else "", [], False
    for path in files:
        try:
            found = read_provenance(path.read_bytes(), trusted)
        except OSError as error:
            print(f"{readable(path)}: The file cannot be read ({error.strerror}). Check its name.", file=sys.stderr)
            failed = True
            continue
        shown.append(Shown(readable(path), found.holds, found))
    if as_json:
        print_json(shown)
    else:
        print("\n\n".join("\n".join(_lines(each)) for each in shown))
    return UNREADABLE if failed else int(not all(each.holds for each in shown))


def _read_trusted(path: Path) -> str:
    """The certificates of a file, without any key that is in it too."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise TrustFileError(f"{path} cannot be read: {error.strerror}. Check its name.") from error
    except ValueError as error:
        raise TrustFileError(f"There is no certificate in {path}. Give the authorities' as PEM.") from error
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in found)


def _lines(shown: Shown) -> list[str]:
    found = shown.provenance
    lines = [f"{shown.file}: {_verdict(found)}"]
    if found.origin or found.reasons or found.xmp:
        lines.append(f"  signature  {_SIGNATURES[found.signature]}")
    lines += [f"             {_REASONS.get(reason, reason)}" for reason in found.reasons]
    if found.origin:
        lines += _origin_lines(found.origin)
    for parent in found.parents:
        lines.append("  made of another picture:")
        lines += _origin_lines(parent)
    lines.append(f"  XMP mark   {found.xmp.rsplit('/', 1)[-1] if found.xmp else 'none'}")
    return lines


def _verdict(found: Provenance) -> str:
    if found.by_model is None:
        return "carries a mark that cannot be read" if found.signature == "broken" else "carries no mark of its making"
    types = {found.xmp, *(kind for each in (found.origin, *found.parents) if each for kind in each.source_types)}
    if not found.by_model:
        what = "not made by a model"
    else:
        what = "partly made by a model" if COMPOSITE_SOURCE_TYPE in types else "made by a model"
    return f"says that it was {what}" if found.signature in ("broken", "none") else what


def _origin_lines(origin: Origin) -> list[str]:
    by = f"{origin.signed_by} (proves nothing about who)" if origin.development else origin.signed_by
    lines = [f"  signed by  {by}", f"  program    {origin.program}"]
    if origin.made_at:
        lines.append(f"  made at    {origin.made_at}, by the signer's clock")
    return [*lines, f"  actions    {', '.join(origin.actions) or 'none'}"]
