"""What avatars are signed with: a development certificate made once, the operator's own, and what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from numpy.typing import NDArray

from likeness.errors import SettingsError
from likeness.provenance import PNG, SigningError, open_marker, read_provenance
from likeness.provenance.credential import NAME, read_credential
from likeness.vault import open_key_store
from tests.certificates import Authority
from tests.patience import patience_s
from tests.serving import Server


def test_the_development_certificate_is_made_once(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    first, second = (open_marker("", "", open_key_store(str(tmp_path / "keys"))) for _ in range(2))
    file = tmp_path / "keys" / NAME
    assert file.stat().st_mode & 0o777 == 0o600
    assert "development certificate" in first.notices()[0]
    trusted = file.read_text().split("-----END PRIVATE KEY-----")[1]
    for each in (first, second):
        assert read_provenance(each.mark(pixels), trusted).signature == "trusted"
    file.write_bytes(b"damaged")
    with pytest.raises(SettingsError, match=NAME):
        open_marker("", "", open_key_store(str(tmp_path / "keys")))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["es256", "es384", "ed25519", "ps256"],
)
def test_the_operators_own_certificate(
    authority: Authority, tmp_path: Path, pixels: NDArray[np.uint8], key: Any
) -> None:
    certificate, secret = authority.issue(tmp_path, key)
    own = open_marker(str(certificate), str(secret), open_key_store(str(tmp_path / "keys")))
    assert (own.notices(), own.problem(), own.is_development) == ([], None, False)
    assert not (tmp_path / "keys").exists()
    signed = own.mark(pixels)
    found = read_provenance(signed)
    assert found.origin is not None
    assert (found.signature, found.origin.signed_by) == ("untrusted", "Social Network Ltd, Avatars")
    assert not found.origin.development
    assert read_provenance(signed, authority.root.decode()).signature == "trusted"
    assert read_provenance(signed, Authority().root.decode()).signature == "untrusted"
    small = own.derive(signed, pixels[::4, ::4], PNG, "c2pa.resized")
    assert read_provenance(small, authority.root.decode()).signature == "trusted"


def test_an_older_form_of_key_file_is_read(authority: Authority, tmp_path: Path) -> None:
    certificate, secret = authority.issue(tmp_path, form=PrivateFormat.TraditionalOpenSSL)
    assert b"BEGIN EC PRIVATE KEY" in secret.read_bytes()
    open_marker(str(certificate), str(secret), None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"usage": None}, "C2PA refuses c2pa_certificate"),
        ({"usage": ExtendedKeyUsageOID.SERVER_AUTH}, "emailProtection"),
        ({"days": (-10, -1)}, "is valid from"),
        ({"days": (5, 10)}, "is valid from"),
        ({"authority": True}, "C2PA refuses c2pa_certificate"),
        ({"key": ec.generate_private_key(ec.SECP256K1())}, "C2PA takes no secp256k1 key"),
    ],
)
def test_a_certificate_that_cannot_sign_is_said_at_the_start(
    authority: Authority, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    certificate, secret = authority.issue(tmp_path, **changes)
    with pytest.raises(SettingsError, match=words) as caught:
        open_marker(str(certificate), str(secret), None)
    check_words(str(caught.value), secret)


def check_words(said: str, secret: Path) -> None:
    """A sentence, without a word of the key."""
    assert said.endswith(".")
    assert not any(line in said for line in secret.read_text().splitlines() if line)


def spoil(certificate: Path, secret: Path, how: str) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    match how:
        case "no certificate":
            certificate.unlink()
        case "no key":
            secret.unlink()
        case "no PEM":
            certificate.write_text("certificate")
        case "no PEM key":
            secret.write_text("key")
        case "password":
            locked = BestAvailableEncryption(b"secret")
            secret.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        case "another's key":
            secret.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no certificate", "c2pa_certificate .*cannot be read: No such file"),
        ("no key", "c2pa_key .*cannot be read: No such file"),
        ("no PEM", "There is no certificate in c2pa_certificate"),
        ("no PEM key", "There is no private key in c2pa_key"),
        ("password", "has a password"),
        ("another's key", "is not that of the first certificate"),
    ],
)
def test_files_that_are_none_are_said_at_the_start(authority: Authority, tmp_path: Path, how: str, words: str) -> None:
    certificate, secret = authority.issue(tmp_path)
    spoil(certificate, secret, how)
    with pytest.raises(SettingsError, match=words):
        open_marker(str(certificate), str(secret), None)


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_the_server_does_not_start_with_wrong_ones(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    certificate, secret = authority.issue(tmp_path, usage=None)
    config = tmp_path / "likeness.toml"
    config.write_text(f'c2pa_certificate = "{certificate}"\nc2pa_key = "{secret}"\nport = 0\n')
    run = [sys.executable, "-m", "likeness", command, "--data", str(tmp_path / "data"), "--config", str(config)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=patience_s(), check=False)
    assert done.returncode == 2, done.stderr
    [said] = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert said.startswith(f"C2PA refuses c2pa_certificate {certificate}")
    check_words(said, secret)
    check_words(f"{done.stderr}.", secret)


def test_the_server_signs_with_the_operators_and_else_says_so(
    authority: Authority, tmp_path: Path, photos: list[Path]
) -> None:
    certificate, secret = authority.issue(tmp_path)
    server = Server(tmp_path / "data", avatars=1, steps=1, c2pa_certificate=certificate, c2pa_key=secret).start()
    try:
        generation = server.accepted([path.read_bytes() for path in photos])
        server.until(lambda: server.generation(generation)["status"] == "done")
        for size in ("full", "64"):  # the worker's signature, and the server's
            shown = server.client.get(f"/v1/generations/{generation}/avatars/0?size={size}").content
            assert read_provenance(shown, authority.root.decode()).signature == "trusted"
        assert "development certificate" not in server.log.read_text()
        assert not (server.data / "keys" / NAME).exists()
        server.stop()
        for name in ("LIKENESS_C2PA_CERTIFICATE", "LIKENESS_C2PA_KEY"):
            del server._settings[name]
        server.start()
        assert "self-made development certificate" in server.log.read_text()
        check_words(f"{server.log.read_text()}.", secret)
        check_words(f"{server.log.read_text()}.", server.data / "keys" / NAME)
    finally:
        server.close()


def test_one_without_the_other_is_refused(tmp_path: Path) -> None:
    for given in (("a.pem", ""), ("", "a.pem")):
        with pytest.raises(SettingsError, match="Only one of c2pa_certificate and c2pa_key"):
            open_marker(*given, None)


def test_the_end_of_a_certificate_is_announced(authority: Authority, tmp_path: Path) -> None:
    own = open_marker(*map(str, authority.issue(tmp_path, days=(-1, 20))), None)
    [notice] = own.notices()
    assert "ends within 30 days" in notice


def test_nothing_is_signed_after_the_end(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: NDArray[np.uint8]
) -> None:
    own = open_marker(*map(str, authority.issue(tmp_path)), None)
    monkeypatch.setattr("likeness.provenance.marker.time.time", lambda: 2**33)
    assert "has ended" in str(own.problem())
    monkeypatch.setattr(own, "_context", own._c2pa.Context.from_dict({}))  # as if its signer were refused
    with pytest.raises(SigningError, match="none leaves unsigned"):
        own.mark(pixels)


def test_the_key_is_in_no_text(authority: Authority, tmp_path: Path) -> None:
    certificate, secret = authority.issue(tmp_path)
    check_words(f"{read_credential(certificate, secret)!r}.", secret)
