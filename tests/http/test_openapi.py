"""The OpenAPI document has every route, and says of each what it takes and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from likeness.settings import Settings
from tests.http.conftest import Finished
from tests.http.talk import ISSUER, SECRET

# See test_jwks: what Litestar and an accidental neighbour say of themselves.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The declarative_mixin decorator", "ignore:.*Litestar 3.0", "ignore:.*deprecated inferred style"
)
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def document(finished: Finished) -> dict[str, Any]:
    return dict(finished.ann.json("/schema/openapi.json"))


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All operations by their id."""
    found = [(path, each) for path, item in document["paths"].items() for each in item.values()]
    by_id = {each["operationId"]: {**each, "path": path} for path, each in found}
    assert len(by_id) == len(found)
    return by_id


def test_every_route_of_the_app_is_in_it(operations: dict[str, Any], document: dict[str, Any], tmp_path: Path) -> None:
    from likeness.cli.serve import migrate
    from likeness.http import create_app

    settings = Settings(data=tmp_path, jwt_issuer=ISSUER, jwt_secret=SECRET)
    migrate(settings)
    app = create_app(settings)
    served = set()
    for route in app.litestar.routes:
        for method in getattr(route, "methods", set()) - {"OPTIONS", "HEAD"}:
            served.add((method.lower(), route.path_format))
    written = {(method, path) for path, item in document["paths"].items() for method in item}
    assert {(method, path) for method, path in served if not path.startswith("/schema")} == written
    assert len(written) >= 28
    app.service.jobs.close()
    app.service.safe.database.close()


def test_every_operation_says_what_it_does(operations: dict[str, Any]) -> None:
    for name, operation in operations.items():
        assert operation["description"].rstrip().endswith("."), name
        assert operation["tags"], name
        assert name[0].islower(), name
        for parameter in operation.get("parameters", []):
            assert parameter["in"] == "path" or parameter["description"], (name, parameter)


def test_every_operation_says_what_it_answers(operations: dict[str, Any]) -> None:
    for name, operation in operations.items():
        good = [status for status in operation["responses"] if status.startswith("2")]
        assert good, name
        bad = {status: each for status, each in operation["responses"].items() if status.startswith(("4", "5"))}
        if operation["tags"] == ["operations"]:
            continue
        assert {"400", "401", "403"} <= set(bad), name
        assert all(list(each["content"]) == [PROBLEM] for each in bad.values()), name
        assert "404" in bad or "{" not in operation["path"], name


def test_every_body_and_answer_has_an_example(operations: dict[str, Any]) -> None:
    for name, operation in operations.items():
        described = [operation.get("requestBody", {}), *operation["responses"].values()]
        for kind, content in [each for part in described for each in part.get("content", {}).items()]:
            if kind.endswith("json"):
                assert content["example"] not in (None, {}, []), (name, kind)
    quota = operations["createGeneration"]["responses"]["429"]["content"][PROBLEM]["example"]
    assert (quota["status"], quota["code"]) == (429, "quota_exceeded")


def test_what_a_problem_looks_like(document: dict[str, Any]) -> None:
    problem = document["components"]["schemas"]["Problem"]
    assert {"type", "title", "status", "detail", "code"} <= set(problem["required"])
    assert {"request_id", "photos", "upgrade_url"} <= set(problem["properties"])
    photo = document["components"]["schemas"]["BadPhoto"]["properties"]
    assert set(photo) == {"index", "name", "code", "message"}
    assert "no_face" in photo["code"]["enum"]


def test_the_form_of_an_upload(operations: dict[str, Any]) -> None:
    operation = operations["createGeneration"]
    [(kind, content)] = operation["requestBody"]["content"].items()
    assert (kind, operation["requestBody"]["required"]) == ("multipart/form-data", True)
    fields = content["schema"]["properties"]
    assert set(fields) == {"photos", "styles", "consent", "seed"}
    assert set(content["schema"]["required"]) == {"photos", "consent"}
    assert (fields["photos"]["minItems"], fields["photos"]["maxItems"]) == (3, 10)
    assert [each["name"] for each in operation["parameters"]] == ["Idempotency-Key"]
    refused = {"400", "401", "402", "403", "408", "409", "413", "415", "422", "429", "503"}
    assert set(operation["responses"]) == {"202", *refused}


def test_images_and_streams_are_declared_as_such(operations: dict[str, Any]) -> None:
    for name in ("getAvatar", "getSavedAvatar", "getPublished"):
        assert set(operations[name]["responses"]["200"]["content"]) == {
            "image/webp",
            "image/png",
            "image/jpeg",
            "image/avif",
        }
    assert set(operations["getPublished"]["responses"]) >= {"304", "404", "406"}
    events = operations["followGeneration"]["responses"]
    assert set(events["200"]["content"]) == {"text/event-stream"}
    event = events["200"]["content"]["text/event-stream"]["schema"]["properties"]
    assert {"queued", "progress", "avatar", "done", "failed", "cancelled"} < set(event["event"]["enum"])
    assert "content" not in events["204"]
    assert set(operations["exportGallery"]["responses"]["200"]["content"]) == {"application/zip"}


def test_what_needs_no_token_says_so(operations: dict[str, Any], document: dict[str, Any]) -> None:
    public = {name for name, operation in operations.items() if operation.get("security") == [{}]}
    expected = {"getReceiptKeys", "getPublished", "listStyles", "getPreview", "isLive", "isReady", "getMetrics"}
    expected |= {"getStudio", "getStudioFile"}
    assert public == expected
    assert {"bearer", "session"} <= set(document["components"]["securitySchemes"])


def test_it_is_served_as_json_and_yaml_and_nothing_else(finished: Finished) -> None:
    assert finished.ann.json("/schema")["openapi"].startswith("3.1")
    response = finished.ann.get("/schema/openapi.yaml")
    assert response.text.startswith(("components:", "openapi:"))
    for page in ("swagger", "redoc", "elements", "rapidoc", "scalar"):
        assert finished.ann.get(f"/schema/{page}").status_code == 404
