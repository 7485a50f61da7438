"""What operators run: each command's output, and one sentence for each thing that is wrong."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import jwt
import pytest

from likeness.cli import main
from likeness.settings import Settings
from likeness.vault import Deletion, Receipt, ReceiptSigner, open_key_store

SECRET = "a secret of at least thirty-two characters"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LIKENESS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_JWT_SECRET", SECRET)
    monkeypatch.setenv("LIKENESS_JWT_ISSUER", "platform")


@pytest.fixture
def receipt(tmp_path: Path) -> tuple[Path, Path]:
    """A receipt and the keys, as the server answers them."""
    signer = ReceiptSigner(open_key_store(str(tmp_path / "keys")))
    deletion = Deletion("photos", "2026-11-24T12:00:00.000+00:00", ["ab" * 32], "0123456789abcdef")
    answers = {
        "receipt.json": {"generation": "g", "jws": signer.sign(Receipt("g", deletions=[deletion]))},
        "keys.json": signer.keys(),
    }
    for name, answer in answers.items():
        (tmp_path / name).write_text(json.dumps(answer))
    return tmp_path / "receipt.json", tmp_path / "keys.json"


def test_a_token_is_what_the_server_takes(platform: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "anna", "--tier", "plus", "--region", "de", "--hours", "2"]) == 0
    token = capsys.readouterr().out.strip()
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="likeness", issuer="platform")
    assert (claims["sub"], claims["tier"], claims["region"]) == ("anna", "plus", "de")


def test_a_token_needs_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "anna"]) == 2
    assert "jwt_secret, which is not set" in capsys.readouterr().err


def test_purge_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", "--data", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out == "Erased 0 things past the deadline.\n"


def test_purge_of_a_user_prints_the_receipt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", "--data", str(tmp_path / "data"), "--user", "local"]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})
    assert (claims["generation"], claims["deletions"]) == ("account", [])


def test_a_receipt_is_verified(receipt: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["receipt", "verify", str(receipt[0]), "--keys", str(receipt[1])]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Valid. Generation g:\n  2026-11-24T12:00:00.000+00:00  photos: 1 object, key 0123456789abc")


@pytest.mark.parametrize("what", ["altered", "other keys", "no JSON", "missing"])
def test_a_bad_receipt_is_one_sentence(
    receipt: tuple[Path, Path], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer, keys = receipt
    if what == "altered":
        given = json.loads(answer.read_text())
        head, _, signature = given["jws"].split(".")
        body = jwt.utils.base64url_encode(b'{"generation":"g","deletions":[],"iss":"likeness"}').decode()
        answer.write_text(json.dumps({"jws": f"{head}.{body}.{signature}"}))
    elif what == "other keys":
        others = ReceiptSigner(open_key_store(str(tmp_path / "others")))
        keys.write_text(json.dumps(others.keys()))
    elif what == "no JSON":
        answer.write_text("Valid.")
    else:
        answer = tmp_path / "nowhere.json"
    assert main(["receipt", "verify", str(answer), "--keys", str(keys)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(".\n")
    assert "Traceback" not in captured.err


def test_the_settings_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in listed] == list(Settings.__struct_fields__)


def test_a_taken_port_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--data", str(tmp_path / "data"), "--port", str(port)]) == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert not (tmp_path / "data" / "likeness.db").exists()


def test_other_machines_without_tokens_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--data", str(tmp_path / "data"), "--host", "0.0.0.0"]) == 2
    assert "no tokens are configured" in capsys.readouterr().err


def test_an_unknown_key_of_the_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "likeness.toml").write_text("colour = 'red'\n")
    assert main(["serve", "--config", str(tmp_path / "likeness.toml")]) == 2
    assert "colour" in capsys.readouterr().err
