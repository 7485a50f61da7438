"""Requests that schemathesis makes of the OpenAPI document, good and bad: no answer is undocumented or a crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.talk import Person
from tests.serving import Server

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = settings(
    max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def eve(server: Server) -> Iterator[Person]:
    eve = Person(server)
    with eve.client:
        yield eve


@pytest.mark.parametrize("mode", GenerationMode)
def test_generated_requests(eve: Person, subtests: pytest.Subtests, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(eve.json("/schema/openapi.json"))
    headers = {"Authorization": f"Bearer {eve.token}"}
    with requests.Session() as session:
        for result in schema.get_all_operations():
            operation = result.ok()

            @EXAMPLES
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: schemathesis.Case) -> None:
                case.call_and_validate(str(eve.client.base_url), session, headers, checks=CHECKS)

            with subtests.test(operation.label):
                check()
