"""Every setting of the server: its name, default, meaning and bounds; and how they are read from file and environment.

Later wins: default, `--config` file (TOML), `LIKENESS_...` variable, command line.
"""

from __future__ import annotations

import os
import re
import tomllib
import typing
import warnings
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from likeness.addresses import is_base_path, is_network, is_origin
from likeness.errors import SettingsError

PREFIX: Final = "LIKENESS_"
# uvicorn's own list of trusted proxies; earlier versions went by it.
UVICORNS_PROXIES: Final = "FORWARDED_ALLOW_IPS"
Tier = Literal["lite", "plus"]
TIERS: Final[tuple[Tier, ...]] = typing.get_args(Tier)
Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of `likeness serve` and `likeness worker`."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")] = 8000
    data: Annotated[Path, Meta(description="Folder of the database, the objects and the keys.")] = Path("likeness-data")
    database: Annotated[str, Meta(description="SQLAlchemy URL; empty means SQLite in the data folder.")] = ""
    objects: Annotated[str, Meta(description="Folder or s3:// URL of the object store; empty: in the data folder.")] = (
        ""
    )
    keys: Annotated[
        str,
        Meta(
            description="Where the keys lie: a folder, the URL of a PostgreSQL database of their own, or what a plugin"
            " serves; empty: in the data folder."
        ),
    ] = ""
    public_url: Annotated[
        str, Meta(description="Where users reach the server, for published links; without a path, root_path is added.")
    ] = ""
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Host names that requests may carry besides the address listened on; * for any."),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(description="Other origins, such as https://social.example, whose pages may call with a bearer token."),
    ] = ()
    root_path: Annotated[
        str,
        Meta(description="Path below which a proxy serves this server, such as /avatars; empty: X-Forwarded-Prefix."),
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Addresses and networks of proxies whose X-Forwarded-For, -Proto and -Prefix are believed."),
    ] = ("127.0.0.1", "::1")

    jwt_issuer: Annotated[str, Meta(description="The platform: `iss` of its tokens.")] = ""
    jwt_audience: Annotated[str, Meta(description="`aud` that tokens must carry.")] = "likeness"
    jwt_algorithm: Annotated[Algorithm, Meta(description="The one algorithm that tokens may be signed with.")] = "HS256"
    jwt_secret: Annotated[str, Meta(description="Shared secret of at least 32 characters, for HS256.")] = ""
    jwt_jwks_url: Annotated[
        str, Meta(description="Where the platform publishes its keys, for RS256, ES256, EdDSA.")
    ] = ""

    quota_lite: Annotated[int, Meta(ge=0, description="Generations a Lite user may start in one UTC day.")] = 1
    quota_plus: Annotated[int, Meta(ge=0, description="Generations a Plus user may start in one UTC day.")] = 1
    local_tier: Annotated[Tier, Meta(description="Tier of the local user, when no tokens are configured.")] = "lite"
    paywall_tiers: Annotated[tuple[Tier, ...], Meta(description="Tiers that must upgrade before they generate.")] = ()
    upgrade_url: Annotated[str, Meta(description="Where those users upgrade.")] = ""
    regions: Annotated[tuple[str, ...], Meta(description="`region` claims that are served; empty means all.")] = ()
    refusals_per_hour: Annotated[
        int, Meta(ge=0, description="Refused uploads of a user in an hour before they must wait.")
    ] = 10
    queue_most: Annotated[int, Meta(ge=0, description="Generations that may wait; over it, uploads get 503.")] = 100_000
    wait_most_s: Annotated[float, Meta(ge=0, description="Estimated wait over which uploads get 503.")] = 2700

    photos_after_lite_s: Annotated[
        float, Meta(ge=0, le=300, description="Photos of Lite users live this long after the end.")
    ] = 300
    photos_after_plus_s: Annotated[float, Meta(ge=0, le=300, description="The same for Plus users.")] = 0
    photos_most_s: Annotated[float, Meta(ge=5, le=3600, description="No photo lives longer, whatever happens.")] = 3600
    upload_most_s: Annotated[
        float, Meta(ge=0, le=900, description="An upload that was never accepted lives this long.")
    ] = 900
    avatars_after_s: Annotated[
        float, Meta(ge=300, le=604800, description="Unsaved avatars live this long after the end.")
    ] = 86400
    story_s: Annotated[float, Meta(ge=0, le=604800, description="How long a story can be seen.")] = 86400
    tombstone_s: Annotated[
        float, Meta(ge=0, description="How long a generation's end and receipt can be asked for.")
    ] = 2592000
    upload_idle_s: Annotated[float, Meta(ge=0, description="An upload that sends no byte for so long gets 408.")] = 20
    upload_total_s: Annotated[float, Meta(ge=0, description="An upload that takes longer gets 408.")] = 180
    headers_total_s: Annotated[
        float, Meta(gt=0, description="A request whose headers, or JSON body, take longer to come gets 408.")
    ] = 20

    pack: Annotated[str, Meta(description="Folder of the model pack; empty means the bundled miniature.")] = ""
    backend: Annotated[str, Meta(description="What runs the networks: onnxruntime, openvino, tensorrt or torch.")] = (
        "onnxruntime"
    )
    engine_cache: Annotated[
        str, Meta(description="Folder of built engines; empty means ~/.cache/likeness/engines.")
    ] = ""
    style_cache: Annotated[
        str, Meta(description="Folder of unpacked style packs; empty means ~/.cache/likeness/styles.")
    ] = ""
    style_steps: Annotated[int, Meta(ge=1, le=50, description="Most steps that a style's recipe may ask for.")] = 50
    style_guidance: Annotated[float, Meta(ge=1, le=20, description="Most guidance that it may ask for.")] = 20
    style_lora_rank: Annotated[int, Meta(ge=1, description="Highest rank of a style's LoRA.")] = 128
    style_lora_bytes: Annotated[int, Meta(ge=0, le=2_000_000_000, description="Most bytes of it.")] = 200_000_000
    style_preview_bytes: Annotated[int, Meta(ge=0, le=64_000, description="Most bytes of a style's preview.")] = 64_000
    hook_s: Annotated[float, Meta(gt=0, description="A plugin's hook for an avatar that takes longer has failed.")] = 10
    threads: Annotated[int, Meta(ge=0, description="Threads of the networks; 0 means one for every core.")] = 0
    avatars: Annotated[int, Meta(ge=1, le=300, description="Avatars of one generation.")] = 30
    steps: Annotated[int, Meta(ge=0, le=50, description="Denoising steps; 0 means the pack's own.")] = 0
    generations_at_once: Annotated[int, Meta(ge=1, le=64, description="Generations that share a worker's batch.")] = 4
    decoders: Annotated[int, Meta(ge=1, le=64, description="Uploads whose photos are decoded at the same time.")] = 2
    attempts: Annotated[
        int, Meta(ge=1, le=10, description="Times in a row a generation is begun and nothing of it stored, to give up.")
    ] = 3
    lease_s: Annotated[float, Meta(ge=2, description="A worker that gives no sign for so long is declared dead.")] = 30
    step_most_s: Annotated[
        float, Meta(ge=1, description="A worker whose step takes longer hangs, and ends itself.")
    ] = 120
    webhook_url: Annotated[str, Meta(description="Where the platform is told of events; empty: nowhere.")] = ""
    webhook_secret: Annotated[
        str, Meta(description="What webhooks are signed with: whsec_ and 24 to 64 bytes in base64.")
    ] = ""
    webhook_private: Annotated[bool, Meta(description="Whether webhook_url may be a private or loopback address.")] = (
        False
    )
    c2pa_certificate: Annotated[
        str, Meta(description="PEM file of the certificates that avatars are signed with; empty: a self-made one.")
    ] = ""
    c2pa_key: Annotated[str, Meta(description="PEM file of the first certificate's private key.")] = ""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level to log.")] = "info"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in use; PostgreSQL is spoken to through psycopg."""
        return _with_driver(self.database) or f"sqlite:///{self.data.absolute() / 'likeness.db'}"

    @property
    def keys_location(self) -> str:
        """The folder or URL of the keys in use: never in the database, never in the object store."""
        return _with_driver(self.keys) or str(self.data.absolute() / "keys")

    @property
    def objects_location(self) -> str:
        """The folder or URL of the object store in use."""
        return self.objects or str(self.data.absolute() / "objects")

    @property
    def local_user_only(self) -> bool:
        """Whether no tokens are configured, so that everybody is the one local user."""
        return not (self.jwt_secret or self.jwt_jwks_url)

    def quota(self, tier: Tier) -> int:
        """Generations a day of a tier."""
        return self.quota_plus if tier == "plus" else self.quota_lite

    def photos_after_s(self, tier: Tier) -> float:
        """Seconds from a generation's end to its photos' deadline."""
        return self.photos_after_plus_s if tier == "plus" else self.photos_after_lite_s


def read_settings(
    arguments: Mapping[str, object] | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Merge file, environment and command line over the defaults; raises SettingsError naming the key."""
    values: dict[str, object] = {}
    if config is not None:
        values |= _from_file(config)
    environment = os.environ if environment is None else environment
    values |= _from_environment(environment)
    values |= {name: value for name, value in (arguments or {}).items() if value is not None}
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{_readable(str(error))}. See the settings reference in server/README.md.") from error
    _check_access(settings)
    _check_addresses(settings)
    _check_keys(settings)
    if UVICORNS_PROXIES in environment and "trusted_proxies" not in values:
        warnings.warn(
            f"The environment variable {UVICORNS_PROXIES} is ignored. Set trusted_proxies to your proxies' addresses.",
            stacklevel=2,
        )
    return settings


def dump_settings(settings: Settings) -> bytes:
    """Settings as one line of JSON, for a child process; it holds secrets."""
    return msgspec.json.encode(settings, enc_hook=str)


def load_settings(line: bytes | str) -> Settings:
    """The other end of `dump_settings`."""
    return msgspec.json.decode(line, type=Settings, dec_hook=_path)


def setting_rows() -> Iterable[tuple[str, str, str]]:
    """Name, default and meaning of every setting, in the order of the code."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        meaning = next(m.description for m in hints[field.name].__metadata__ if isinstance(m, Meta) and m.description)
        yield field.name, _shown(field.default), meaning


def _path(kind: type[object], value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise NotImplementedError


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "[]" if not value else ", ".join(map(str, value))
    return str(value) if value != "" else '""'


def _from_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}. Check its name.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}. Mend that line.") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        # Kubernetes sets LIKENESS_PORT=tcp://10.0.0.1:80 and the like for a service called `likeness`.
        if not variable.startswith(PREFIX) or text.startswith(("tcp://", "udp://")) or "_SERVICE_" in variable:
            continue
        if name not in known:
            warnings.warn(f"The environment variable {variable} is no setting; it is ignored.", stacklevel=4)
        else:
            values[name] = _split(name, text) if isinstance(known[name].default, tuple) else text
    return values


def _split(name: str, text: str) -> object:
    """A list from a variable: a JSON array, or parts between commas."""
    if not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise SettingsError(
            f'Setting {name}: {text} is not a JSON array. Write ["one", "two"], or one, two.'
        ) from error


def _readable(problem: str) -> str:
    """msgspec's `Expected `int` >= 0 - at `$.port`` with the setting's name in front."""
    what, _, where = problem.partition(" - at `$.")
    return (
        f"Setting {where.rstrip('`')}: {what}" if where else problem.replace("Object contains", "The settings contain")
    )


def _check_access(settings: Settings) -> None:
    if settings.jwt_secret and settings.jwt_jwks_url:
        raise SettingsError("Both jwt_secret and jwt_jwks_url are set. Keep one of them.")
    if settings.jwt_secret and (settings.jwt_algorithm != "HS256" or len(settings.jwt_secret) < 32):
        raise SettingsError("jwt_secret goes with jwt_algorithm HS256 and has at least 32 characters. Change either.")
    if settings.jwt_jwks_url and settings.jwt_algorithm == "HS256":
        raise SettingsError(
            "jwt_jwks_url needs jwt_algorithm RS256, ES256 or EdDSA. Set it to what the platform signs with."
        )
    if not settings.local_user_only and not settings.jwt_issuer:
        raise SettingsError("Tokens are configured without jwt_issuer. Set it to the `iss` of the platform's tokens.")
    if settings.local_user_only and not is_loopback(settings.host):
        raise SettingsError(
            f"{settings.host} can be reached from other machines, and no tokens are configured. Set jwt_issuer with"
            " jwt_secret or jwt_jwks_url, or listen on 127.0.0.1."
        )


def _check_addresses(settings: Settings) -> None:
    for origin in settings.allowed_origins:
        if not is_origin(origin):
            raise SettingsError(
                f"Setting allowed_origins: {origin!r} is not an origin. Write scheme, host and port as browsers send"
                " them, such as https://social.example; * and null are not taken."
            )
    for proxy in settings.trusted_proxies:
        if not is_network(proxy):
            raise SettingsError(
                f"Setting trusted_proxies: {proxy!r} is not an address or network. Write it as 10.0.0.7 or 10.0.0.0/8."
            )
    if settings.root_path and not is_base_path(settings.root_path):
        raise SettingsError(
            f"Setting root_path: {settings.root_path!r} is not a path. Write it as /avatars, with no slash at its end."
        )


def _check_keys(settings: Settings) -> None:
    """Keys in the database's own log and backups would open what was deleted."""
    if settings.database_url.startswith("sqlite:///"):
        return
    if not settings.database_url.startswith("postgresql+psycopg://"):
        raise SettingsError("The setting database begins with postgresql:// or sqlite:///. Write it as one of them.")
    if not settings.keys:
        raise SettingsError(
            "With PostgreSQL, the keys need a place that all machines share. Set keys to the URL of a database on a"
            " server of its own, or to a shared folder."
        )
    if settings.keys_location == settings.database_url:
        raise SettingsError("keys is the same database as database. Set it to one on a server of its own.")


def _with_driver(url: str) -> str:
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def is_loopback(host: str) -> bool:
    """Whether an address or name stands for this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
