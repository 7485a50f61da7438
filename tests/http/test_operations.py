"""What operators look at: health, metrics, and a log without a word about users."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from likeness.packs import is_identity_installed
from likeness.settings import Settings
from likeness_plugins import Problem
from tests.http.conftest import Finished, People
from tests.http.talk import SECRET, Person, named, problem
from tests.serving import CONSENT, Server

NAMES = {
    "likeness_generations": "gauge",
    "likeness_queue_age_seconds": "gauge",
    "likeness_queue_wait_seconds": "gauge",
    "likeness_generation_seconds": "gauge",
    "likeness_deletions_due": "gauge",
    "likeness_deletions_done": "gauge",
    "likeness_deletions_late": "gauge",
    "likeness_webhooks_waiting": "gauge",
    "likeness_webhooks_given_up": "gauge",
    "likeness_webhooks_age_seconds": "gauge",
    "likeness_workers": "gauge",
    "likeness_worker_steps": "counter",
    "likeness_worker_step_seconds": "counter",
    "likeness_worker_rows": "counter",
    "likeness_worker_room": "counter",
    "likeness_worker_avatars": "counter",
    "likeness_request_seconds": "histogram",
    "likeness_refusals": "counter",
}
Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def measure(server: Server) -> Samples:
    """All samples by name and labels."""
    response = server.client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: Samples = {}
    kinds = {}
    for family in text_string_to_metric_families(response.text):
        kinds[family.name] = family.type
        assert family.documentation.endswith("."), family.name
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    assert {name: kinds.get(name) for name in NAMES} == NAMES
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(value for key, value in samples.get(name, {}).items() if labels.items() <= dict(key).items())


@pytest.mark.usefixtures("finished")
def test_metrics_count_what_happens(server: Server, person: People, jpegs: list[bytes]) -> None:
    before = measure(server)
    ann = person()
    problem(ann.upload(jpegs, consent=None), 422, "consent_required")
    location = ann.done(jpegs)
    server.until(lambda: total(measure(server), "likeness_worker_avatars_total") > 0)
    after = measure(server)

    def grown(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert grown("likeness_refusals_total", code="consent_required") == 1
    # At least: what another test left behind may end meanwhile.
    assert grown("likeness_generations", state="done") >= 1
    assert 0 < total(after, "likeness_generation_seconds") < 60
    assert grown("likeness_deletions_done") >= 1
    route = {"method": "GET", "route": "/v1/generations/{generation}/events", "status": "200"}
    assert grown("likeness_request_seconds_count", **route) == 1
    assert total(after, "likeness_deletions_due") == total(after, "likeness_deletions_late") == 0
    server.until(lambda: total(measure(server), "likeness_queue_age_seconds") == 0)
    assert total(after, "likeness_workers") == 1
    assert 0 < total(after, "likeness_worker_rows_total") <= total(after, "likeness_worker_room_total")
    assert total(after, "likeness_worker_step_seconds_total") > 0
    assert location.rsplit("/", 1)[1] not in server.client.get("/metrics").text


def test_the_age_of_the_queue(local: Server, waiting: str) -> None:
    view = local.client.get(waiting).json()
    assert view["status"] == "queued"
    assert view["position"] >= 0
    first = total(measure(local), "likeness_queue_age_seconds")
    local.until(lambda: total(measure(local), "likeness_queue_age_seconds") > first > 0)
    assert total(measure(local), "likeness_queue_wait_seconds") > 0


def test_health(server: Server, local: Server) -> None:
    assert server.client.get("/health/live").json() == {"live": True}
    ready = server.client.get("/health/ready")
    healthy = {"ready": True, "problems": [], "style_problems": [], "faces_compared": is_identity_installed()}
    assert (ready.status_code, ready.json()) == (200, healthy)
    assert local.client.get("/health/live").status_code == 200
    without = local.client.get("/health/ready")
    assert without.status_code == 503
    assert (without.json()["ready"], without.json()["problems"]) == (False, ["No worker is alive. See its log."])
    assert server.client.get("/health/ready", headers={"Host": "10.0.0.1"}).status_code == 200


CAPTION = "a caption that is nobody's business"
FILE = "holiday-in-private"


def test_the_log_says_nothing_about_users(
    server: Server, local: Server, finished: Finished, person: People, jpegs: list[bytes]
) -> None:
    ann = person(region="us")
    cookie = ann.client.post("/v1/session").cookies["likeness_session"]
    body = {"avatar": finished.avatar, "caption": CAPTION}
    finished.ann.client.delete(f"/v1/stories/{finished.ann.send('POST', '/v1/stories', body, 201)['id']}")
    files = named([*jpegs[:1], b"text", b""], FILE)
    for each in (ann, finished.ann):
        each.client.post("/v1/generations", files=files, data={"consent": CONSENT}, headers={"Idempotency-Key": FILE})
        each.get(f"/v1/generations/{FILE}?cursor={FILE}")
        each.client.post("/v1/stories", content=f'{{"avatar": "{FILE}"'.encode())
    server.client.get("/v1/quota", headers={"Authorization": f"Bearer {FILE}"})
    secrets = {SECRET, CAPTION, FILE, cookie, "likeness_session", "127.0.0.1", *owners(server)}
    secrets |= {finished.ann.subject, ann.subject, "of-these-tests", "subject-"}
    secrets |= {part for token in Person.tokens for part in token.split(".")[1:] if part}
    secrets |= {finished.picture_url.rsplit("/", 1)[1], finished.story_url.rsplit("/", 1)[1], finished.key}
    for log in (server.log.read_text(), local.log.read_text()):
        assert log
        assert [secret for secret in secrets if secret in log] == []
        for line in log.splitlines():
            assert {"time", "level", "logger", "message"} <= set(json.loads(line))
        assert "Traceback" not in log


def owners(server: Server) -> set[str]:
    """What stands for users in the database."""
    found = {owner for (owner,) in server.home.rows("SELECT DISTINCT owner FROM generations")}
    assert found
    return found


def test_health_names_what_is_wrong_with_packs_in_decoders(tmp_path: Path) -> None:
    from likeness.cli.serve import migrate
    from likeness.http.routes.health import is_ready
    from likeness.http.service import Service
    from likeness.safe import open_safe

    settings = Settings(data=tmp_path)
    migrate(settings)
    service = Service(settings, open_safe(settings))
    service.decoders.problems.append(Problem("heavy", "likeness_prepare_reviews failed."))
    response = asyncio.run(is_ready.fn(service))
    assert response.content.style_problems == ["heavy: likeness_prepare_reviews failed."]
    service.jobs.close()
    service.safe.database.close()
