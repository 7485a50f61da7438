"""`likeness worker`, `token`, `purge`, `receipt verify`, `settings`: what operators run beside the server."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import jwt
import msgspec

from likeness.cli.serve import migrate, prepare
from likeness.errors import SettingsError
from likeness.logs import configure_logs
from likeness.retention import erase_account, sweep
from likeness.retention.sweeper import tidy
from likeness.safe import open_safe
from likeness.settings import Settings, Tier, setting_rows
from likeness.users import owner_of
from likeness.vault import ReceiptError, open_key_store, verify_receipt
from likeness.worker.process import run_worker


def work(settings: Settings) -> int:
    """Draw generations until SIGTERM or Ctrl-C, then hand back what is not done."""
    configure_logs(settings.log_level)
    prepare(settings)
    stop = threading.Event()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_, lambda *_: stop.set())
    run_worker(settings, stop)
    return 0


def make_token(settings: Settings, subject: str, tier: Tier, region: str, hours: float) -> int:
    """Print a token of the platform's, for trying; needs the shared secret."""
    if not settings.jwt_secret:
        raise SettingsError(
            "Tokens are made with jwt_secret, which is not set. Set LIKENESS_JWT_SECRET and jwt_issuer."
        )
    claims = {
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "sub": subject,
        "tier": tier,
        "region": region,
        "exp": int(time.time() + hours * 3600),
    }
    print(jwt.encode(claims, settings.jwt_secret, algorithm="HS256"))
    return 0


def purge(settings: Settings, subject: str | None) -> int:
    """Erase what is due now, or everything of one user; says what was done."""
    prepare(settings)
    safe = open_safe(settings)
    if subject is not None:
        platform = settings.jwt_issuer or "local"
        owner = owner_of(safe.keyring.secret("server"), platform, subject)
        print(erase_account(safe, owner, settings))
    else:
        count = sweep(safe, settings)
        tidy(safe, settings)
        print(f"Erased {count} thing{'s' * (count != 1)} past the deadline.")
    safe.close()
    return 0


def upgrade_database(settings: Settings) -> int:
    """Bring the tables of the database, the queue and the keys to this version's form; versions before run on."""
    migrate(settings)
    with closing(open_key_store(settings.keys_location)) as keys:
        keys.prepare()
    print("The database has the tables of this version. Start, or restart, servers and workers one by one.")
    return 0


def verify(receipt: Path, keys: Path) -> int:
    """Check a receipt against the server's public keys, and print what it says."""
    try:
        given = json.loads(receipt.read_text())
        jws = given["jws"] if isinstance(given, dict) else given
        known = json.loads(keys.read_text())
    except OSError as error:
        raise ReceiptError(f"{error.filename} cannot be read: {error.strerror}. Check its name.") from error
    except (ValueError, KeyError) as error:
        raise ReceiptError(
            "This is no answer of GET .../receipt, or no answer of GET /v1/receipts/keys. Save them as they come."
        ) from error
    found = verify_receipt(str(jws), known)
    print(f"Valid. Generation {found.generation}:")
    for deletion in found.deletions:
        count = len(deletion.objects)
        print(
            f"  {deletion.deleted_at}  {deletion.what}: {count} object{'s' * (count != 1)}, key {deletion.key or '-'}"
        )
        for digest in deletion.objects:
            print(f"    sha256 {digest}")
    return 0


def show_settings(as_json: bool) -> int:
    """Print the settings reference."""
    rows = list(setting_rows())
    if as_json:
        print(
            msgspec.json.encode([dict(zip(("name", "default", "meaning"), row, strict=True)) for row in rows]).decode()
        )
    else:
        sys.stdout.write(settings_table())
    return 0


def settings_table() -> str:
    """The settings reference as a Markdown table."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | `{default}` | {meaning} |" for name, default, meaning in setting_rows()]
    return "\n".join(lines) + "\n"
