"""Another user's things look like no things, by every route that the OpenAPI document has."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx
import pytest

from tests.http.conftest import Finished, People
from tests.http.talk import problem
from tests.serving import Server

# In the path of these stands what is nobody's secret: a public link, a style's name, a file of the studio.
PUBLIC = {"getPublished", "getPreview", "getStudioFile"}
NO_IDS = [
    "x",
    "0",
    "-1",
    "null",
    "None",
    "%00",
    "%2e%2e%2f",
    "%ff",
    "%F0%9F%98%80",
    "'",
    "a b",
    "{id}",
    "x" * 5000,
]


class Call(NamedTuple):
    """One operation of the document, with an id somewhere in it."""

    name: str
    method: str
    path: str
    body: dict[str, Any] | None


@pytest.fixture(scope="module")
def calls(server: Server, finished: Finished) -> list[Call]:
    """All of them; fails for an operation whose ids this test does not know."""
    document = finished.ann.json("/schema/openapi.json")
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parameters = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
            body = body_of(document, operation, finished)
            if operation["operationId"] not in PUBLIC and (parameters or (body and "avatar" in body)):
                found.append(Call(operation["operationId"], method.upper(), path, body))
    assert len(found) >= 12
    return found


def body_of(document: dict[str, Any], operation: dict[str, Any], finished: Finished) -> dict[str, Any] | None:
    """A good JSON body, with Ann's ids in it."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    known = {"avatar": finished.avatar, "avatars": "all", "caption": "mine"}
    return {name: known[name] for name in schema["properties"]}


def ids(finished: Finished) -> dict[str, str]:
    return {"generation": finished.generation, "avatar": finished.avatar, "story": finished.story, "index": "0"}


def test_every_route_answers_404_to_another_users_ids(finished: Finished, calls: list[Call], person: People) -> None:
    bob = person()
    for call in calls:
        url = call.path.format(**ids(finished))
        problem(bob.client.request(call.method, url, json=call.body), 404, "not_found")
    assert finished.ann.json("/v1/profile/picture")["avatar"] == finished.avatar
    assert [each["id"] for each in finished.ann.json("/v1/stories")["items"]] == [finished.story]
    assert finished.ann.json(finished.location)["status"] == "done"


def test_the_same_routes_answer_their_own_user(finished: Finished, calls: list[Call]) -> None:
    reading = [call for call in calls if call.method == "GET"]
    assert len(reading) >= 5
    for call in reading:
        assert finished.ann.get(call.path.format(**ids(finished))).status_code == 200


@pytest.mark.parametrize("nothing", NO_IDS)
def test_what_is_no_id_is_not_found(finished: Finished, calls: list[Call], nothing: str) -> None:
    for call in calls:
        for name in ids(finished):
            if f"{{{name}}}" in call.path and not (name == "index" and nothing in ("0", "-1")):
                path = call.path.format(**{**ids(finished), name: nothing})
                response = raw(finished, call, path)
                assert response.status_code in (404, 405), (call, response.text)  # 405: `..` is another address
        if call.body and "avatar" in call.body:
            body = {**call.body, "avatar": nothing}
            problem(finished.ann.client.request(call.method, call.path, json=body), 404, "not_found")


def raw(finished: Finished, call: Call, path: str) -> httpx.Response:
    """Send a path as it stands: httpx would tidy it up."""
    url = finished.ann.client.base_url.copy_with(raw_path=path.replace(" ", "%20").encode())
    request = finished.ann.client.build_request(call.method, url, json=call.body)
    return finished.ann.client.send(request)


@pytest.mark.parametrize("link", ["x", "", "..%2f..", "x" * 5000, "%00", "{known}x", "{swapped}"])
def test_a_public_link_cannot_be_guessed(finished: Finished, server: Server, link: str) -> None:
    known = finished.picture_url.rsplit("/", 1)[1]
    assert len(known) >= 32
    address = f"/p/{link.format(known=known, swapped=known.swapcase())}"
    problem(server.client.get(address), 404, "not_found")
