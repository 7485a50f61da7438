"""A platform that signs tokens with private keys and publishes the public ones, on loopback."""

from __future__ import annotations

import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from tests.http.talk import claims, sign


def encode(part: dict[str, Any]) -> str:
    """One part of a token, made by hand."""
    return base64url_encode(json.dumps(part).encode()).decode()


class Platform:
    """Answers a JWK set and counts how often; `answer` is what it sends, to be changed at will."""

    def __init__(self) -> None:
        self.rsa: RSAPrivateKey = generate_rsa_key(65537, 2048)
        self.ec: EllipticCurvePrivateKey = generate_private_key(SECP256R1())
        keys = [
            {**json.loads(RSAAlgorithm.to_jwk(self.rsa.public_key())), "kid": "rsa", "use": "sig"},
            {**json.loads(ECAlgorithm.to_jwk(self.ec.public_key())), "kid": "ec", "use": "sig"},
        ]
        self.answer = json.dumps({"keys": keys}).encode()
        self.asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token(self, subject: str = "ann", key: str = "rsa", kid: str | None = None, **changes: Any) -> str:
        """A token signed with one of the keys, under its own name or another."""
        private, algorithm = (self.rsa, "RS256") if key == "rsa" else (self.ec, "ES256")
        return sign(subject, private, algorithm, {"kid": kid or key}, **changes)

    def confused(self, subject: str = "ann") -> str:
        """The old trick: HS256, with the public key as the secret."""
        public = self.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        head, body = (encode(part) for part in ({"alg": "HS256", "kid": "rsa"}, claims(subject)))
        signature = hmac.digest(public, f"{head}.{body}".encode(), "sha256")
        return f"{head}.{body}.{base64url_encode(signature).decode()}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                platform.asked += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(platform.answer)))
                self.end_headers()
                self.wfile.write(platform.answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
