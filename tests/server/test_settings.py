"""Settings: where they come from, what wins, and what is refused by name."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from likeness.errors import SettingsError
from likeness.settings import Settings, dump_settings, load_settings, read_settings, setting_rows

SECRET = "s" * 32


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "likeness.toml"
    file.write_text('port = 1\navatars = 10\nregions = ["de"]\n')
    environment = {"LIKENESS_PORT": "2", "LIKENESS_PAYWALL_TIERS": "lite, plus"}
    settings = read_settings({"port": "3", "host": None}, file, environment)
    assert (settings.port, settings.avatars, settings.regions) == (3, 10, ("de",))
    assert settings.paywall_tiers == ("lite", "plus")
    assert settings.host == "127.0.0.1"


def test_an_unknown_variable_is_one_warning_and_kubernetes_is_ignored() -> None:
    environment = {"LIKENESS_PORTT": "1", "LIKENESS_PORT": "tcp://10.0.0.1:80", "LIKENESS_SERVICE_HOST": "10.0.0.1"}
    with pytest.warns(UserWarning, match="LIKENESS_PORTT is no setting") as caught:
        assert read_settings({}, None, environment).port == 8000
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"port": 70000}, "Setting port"),
        ({"avatars": 0}, "Setting avatars"),
        ({"photos_after_lite_s": 301}, "Setting photos_after_lite_s"),
        ({"photos_most_s": 3601}, "Setting photos_most_s"),
        ({"avatars_after_s": 299}, "Setting avatars_after_s"),
        ({"colour": "red"}, "colour"),
        ({"host": "0.0.0.0"}, "no tokens are configured"),
        ({"jwt_secret": "short", "jwt_issuer": "us"}, "at least 32 characters"),
        ({"jwt_secret": SECRET}, "without jwt_issuer"),
        ({"jwt_secret": SECRET, "jwt_jwks_url": "http://x", "jwt_issuer": "us"}, "Keep one of them"),
        ({"jwt_jwks_url": "http://x", "jwt_issuer": "us"}, "needs jwt_algorithm"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_settings(values, None, {})


@pytest.mark.parametrize(("text", "words"), [("port = ", "is not TOML"), (None, "cannot be read")])
def test_a_bad_file(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "likeness.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_settings({}, file, {})


def test_other_machines_need_tokens() -> None:
    values = {"host": "0.0.0.0", "jwt_secret": SECRET, "jwt_issuer": "us"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not read_settings(values, None, {}).local_user_only


def test_a_child_gets_the_same_settings() -> None:
    settings = Settings(data=Path("/somewhere"), regions=("de", "fr"), jwt_secret=SECRET, jwt_issuer="us")
    assert load_settings(dump_settings(settings)) == settings


def test_every_setting_says_what_it_means() -> None:
    rows = list(setting_rows())
    assert [name for name, _, _ in rows] == list(Settings.__struct_fields__)
    assert all(meaning.endswith(".") for _, _, meaning in rows)


def test_uvicorns_own_list_of_proxies_is_ignored_aloud() -> None:
    environment = {"FORWARDED_ALLOW_IPS": "10.0.0.7"}
    with pytest.warns(UserWarning, match="FORWARDED_ALLOW_IPS is ignored. Set trusted_proxies"):
        assert read_settings(environment=environment).trusted_proxies == ("127.0.0.1", "::1")
    environment["LIKENESS_TRUSTED_PROXIES"] = "10.0.0.7"
    assert read_settings(environment=environment).trusted_proxies == ("10.0.0.7",)
