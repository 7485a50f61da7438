"""Requests that schemathesis makes of the OpenAPI document, good and bad: no answer is undocumented or a crash."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.conftest import Finished
from tests.http.talk import Person
from tests.serving import Server

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = settings(
    max_examples=3, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(autouse=True)
def exact_floats() -> None:
    """Hypothesis wants subnormal numbers; networks that other tests ran leave this thread flushing them to zero."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    libm.fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV


@pytest.fixture
def eve(server: Server) -> Iterator[Person]:
    eve = Person(server)
    with eve.client:
        yield eve


@pytest.mark.parametrize("mode", GenerationMode)
def test_generated_requests(eve: Person, subtests: pytest.Subtests, mode: GenerationMode) -> None:
    for operation in operations(eve):
        with subtests.test(operation.label), suppress(Unsatisfiable):  # of some, nothing can be wrong
            try_out(operation, eve, mode, {})


def test_generated_requests_for_what_is_there(finished: Finished, subtests: pytest.Subtests) -> None:
    known = {"generation": finished.generation, "avatar": finished.avatar, "index": 0, "name": "comic"}
    known["token"] = finished.picture_url.rsplit("/", 1)[1]
    for operation in operations(finished.ann):
        if operation.method.upper() == "GET":
            with subtests.test(operation.label):
                try_out(operation, finished.ann, GenerationMode.POSITIVE, known)


def operations(person: Person) -> list[Any]:
    schema = schemathesis.openapi.from_dict(person.json("/schema/openapi.json"))
    return [result.ok() for result in schema.get_all_operations()]


def try_out(operation: Any, person: Person, mode: GenerationMode, known: dict[str, Any]) -> None:
    """Some requests of an operation, with known values in their paths."""
    headers = {"Authorization": f"Bearer {person.token}"}

    @EXAMPLES
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        for name in case.path_parameters or {}:
            case.path_parameters[name] = known.get(name, case.path_parameters[name])
        case.call_and_validate(str(person.client.base_url), session, headers, checks=CHECKS)

    with requests.Session() as session:
        check()
