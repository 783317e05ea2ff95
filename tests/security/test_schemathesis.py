"""The whole description, asked at random: nothing breaks and nothing undeclared is answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy, booleans, one_of
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from helixflow.identity.permissions import Role
from helixflow.testing.http import serving
from helixflow.testing.platform import Platform, Tenant

from .conftest import Template
from .rows import objects

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 3
EXAMPLES_SLOW = 200


class Served:
    """A platform on a socket, in a thread of its own.

    Attributes:
        url: where it is.
        credentials: by the name of their kind; None for none.
        ids: of objects that exist, by the names that paths have for them.
    """

    def __init__(self, home: Path, tenant: Tenant) -> None:
        self._home = home
        self._tenant = tenant
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])
        self.url = ""
        self.credentials: dict[str, str | None] = {}
        self.ids: dict[str, str] = {}

    async def _serve(self) -> None:
        try:
            async with Platform.open(self._home) as platform, serving(platform.app) as port:
                self.ids = await objects(platform, self._tenant)
                self.url = f"http://127.0.0.1:{port}"
                self.credentials = {
                    "nobody": None,
                    "admin key": self._tenant.admin_key,
                    "owner": await platform.token(self._tenant, Role.OWNER),
                }
                self._up.set()
                await self._end.wait()
        finally:
            self._up.set()

    @contextmanager
    def running(self) -> Iterator[Served]:
        self._thread.start()
        self._up.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
            self._loop.close()


@pytest.fixture
def served(home: Path, template: Template) -> Iterator[Served]:
    with Served(home, template.tenant).running() as up:
        assert up.url
        yield up


def cases(operation: Any) -> SearchStrategy[Any]:
    """Cases that fit the description and cases that do not, half and half."""
    return one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))


def attack(served: Served, examples: int) -> None:
    """Ask every operation with generated cases, valid and broken ones, as everybody in turn."""
    with requests.Session() as session:
        tree = session.get(f"{served.url}/openapi.json").json()
        schema = schemathesis.openapi.from_dict(tree)
        schema.config.update(base_url=served.url)
        faults = [
            fault
            for found in schema.get_all_operations()
            if (fault := fault_of(served, session, found.ok(), examples))
        ]
    assert not faults, "\n\n".join(faults)


def fault_of(served: Served, session: requests.Session, operation: Any, examples: int) -> str:
    """The first fault that is found in an operation, or nothing."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operation), existing=booleans())
    def ask(case: Any, existing: bool) -> None:
        if existing and case.path_parameters:
            for name in case.path_parameters.keys() & served.ids.keys():
                case.path_parameters[name] = served.ids[name]
        for credential in served.credentials.values():
            headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
            answer = case.call(session=session, headers=headers, timeout=20)
            case.validate_response(answer, checks=CHECKS)

    try:
        ask()
    except (Exception, BaseExceptionGroup) as error:
        return f"{operation.label}: {error}"
    return ""


def test_every_answer_is_declared_and_none_is_a_fault(served: Served) -> None:
    attack(served, EXAMPLES)


@pytest.mark.slow
def test_every_answer_is_declared_and_none_is_a_fault_at_length(served: Served) -> None:
    attack(served, EXAMPLES_SLOW)
