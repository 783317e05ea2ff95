"""Auth as an Ingress sees it, without Ray: the real shell, a handle that only passes wires on."""

from __future__ import annotations

import asyncio
import pickle
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError

from deployments.auth import Auth
from deployments.calls import RayAuth
from helixflow.errors import NotFound, Refusal, Refused, Unavailable
from helixflow.identity.keys import digest
from helixflow.ids import KeyId
from helixflow.inference.desk import DeskCall
from helixflow.settings import Settings
from helixflow.storage.env_file import EnvFile
from helixflow.testing.handle import FakeHandle


class Wires:
    """Passes every argument and answer through pickle, as a call to another process does."""

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            arguments = pickle.loads(pickle.dumps(arguments))
            return pickle.loads(pickle.dumps(await getattr(self._target, name)(*arguments)))

        return call


class Unattended(Auth):
    """Nobody awaits what Python's garbage collection calls."""

    def __del__(self) -> None:  # type: ignore[override]
        pass


@dataclass
class Running:
    auth: Auth
    handle: FakeHandle
    office: RayAuth
    keys: dict[str, str]


async def started(home: Path, **sections: Any) -> Auth:
    settings = Settings.of({"home": str(home), **sections})
    tree = settings.model_dump(mode="json", exclude={"models"})
    auth = Unattended.__new__(Unattended)
    await auth.__init__(tree)  # type: ignore[misc]
    return auth


@pytest.fixture(scope="module")
def first_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after its first start."""
    home = tmp_path_factory.mktemp("home")

    async def start() -> None:
        await Auth.__del__(await started(home))

    asyncio.run(start())
    return home


@pytest.fixture
async def running(first_home: Path, tmp_path: Path) -> AsyncIterator[Running]:
    shutil.copytree(first_home, tmp_path, dirs_exist_ok=True)
    auth = await started(tmp_path, identity={"revision_poll_s": 0.01})
    handle = FakeHandle(Wires(auth))
    office = RayAuth(handle, 10.0)  # type: ignore[arg-type]
    yield Running(auth, handle, office, EnvFile(tmp_path / "env").read())
    await Auth.__del__(auth)


async def test_its_first_start_mints_keys_that_it_then_verifies(running: Running) -> None:
    for variable, permission in (
        ("OPENAI_API_KEY", "model:invoke"),
        ("HELIXFLOW_ADMIN_KEY", "key:create"),
    ):
        verdict = await running.office.verify(digest(running.keys[variable]))
        assert verdict.principal is not None
        assert permission in verdict.principal.permissions
    unknown = await running.office.verify(digest("hx-proj-unknown"))
    assert unknown.refused is not None
    assert unknown.refused.reason is Refusal.INVALID_API_KEY
    await running.auth.check_health()


async def test_a_token_that_is_none_gets_a_verdict(running: Running) -> None:
    refused = (await running.office.verify_token("ey.ey.ey")).refused
    assert refused is not None
    assert refused.reason is Refusal.INVALID_API_KEY


async def test_a_change_at_the_desk_is_pushed_to_who_waits(running: Running) -> None:
    key = await running.office.verify(digest(running.keys["HELIXFLOW_ADMIN_KEY"]))
    known = await running.office.revision()
    waiting = asyncio.create_task(running.office.changed(known, 5.0))
    call = DeskCall("project.create", key.principal, b'{"name": "apollo"}')
    answer = await running.office.call(call)
    assert b'"apollo"' in answer.body
    assert await waiting == known + 1


async def test_nothing_is_changed_that_could_not_be_journaled(
    running: Running, first_home: Path, tmp_path: Path
) -> None:
    key = await running.office.verify(digest(running.keys["HELIXFLOW_ADMIN_KEY"]))
    home = tmp_path / "full"
    shutil.copytree(first_home, home, ignore=shutil.ignore_patterns("journals"))
    (home / "journals").write_text("in the way")
    auth = await started(home)
    office = RayAuth(FakeHandle(Wires(auth)), 5.0)  # type: ignore[arg-type]
    with pytest.raises(Unavailable) as caught:
        await office.call(DeskCall("project.create", key.principal, b'{"name": "apollo"}'))
    assert caught.value.reason is Refusal.TELEMETRY_UNAVAILABLE
    listed = await office.call(DeskCall("project.list", key.principal))
    assert b"apollo" not in listed.body
    await Auth.__del__(auth)


async def test_a_refusal_of_the_desk_is_raised_as_what_it_is(running: Running) -> None:
    key = await running.office.verify(digest(running.keys["HELIXFLOW_ADMIN_KEY"]))
    call = DeskCall("project.get", key.principal, b'{"project_id": "proj_of_nobody"}')
    with pytest.raises(NotFound):
        await running.office.call(call)


async def test_policies_and_uses_cross_the_border(running: Running) -> None:
    caller = (await running.office.verify(digest(running.keys["OPENAI_API_KEY"]))).principal
    assert caller is not None
    told = await running.office.policies(caller.organization, caller.project)
    assert (told.fingerprint, told.texts) == ("", ())
    await running.office.touch({caller.key: 1.0, KeyId("key_gone"): 2.0})


async def test_a_lost_auth_is_away(running: Running) -> None:
    running.handle.lost.append(RayActorError())
    for call in (
        running.office.verify(b"x" * 32),
        running.office.verify_token("ey.ey.ey"),
        running.office.revision(),
        running.office.changed(0, 0.0),
        running.office.policies("org_1", "proj_1"),  # type: ignore[arg-type]
        running.office.touch({}),
        running.office.call(DeskCall("jwks.read", None)),
    ):
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.reason is Refusal.AUTH_UNAVAILABLE
        assert caught.value.retry_after_s == 1.0


async def test_an_auth_without_its_database_is_away(running: Running, tmp_path: Path) -> None:
    for file in tmp_path.glob("helixflow.db*"):
        file.unlink()
    (tmp_path / "helixflow.db").mkdir()
    running.auth._outbox.stop()  # its connection would be lost with the pool that is closed here
    await asyncio.wait({running.auth._shipping})
    await running.auth._database.close()
    for call in (
        running.office.verify(b"x" * 32),
        running.office.verify_token("ey.ey.ey"),
        running.office.revision(),
        running.office.policies("org_1", "proj_1"),  # type: ignore[arg-type]
        running.office.touch({KeyId("key_1"): 1.0}),
    ):
        with pytest.raises(Unavailable):
            await call


async def test_calls_that_take_too_long_are_given_up(running: Running) -> None:
    class Never:
        def __getattr__(self, name: str) -> Any:
            async def call(*_: Any) -> None:
                await asyncio.Event().wait()

            return call

    office = RayAuth(FakeHandle(Never()), 0.001, 0.002)  # type: ignore[arg-type]
    for call in (
        office.verify(b"x" * 32),
        office.changed(0, 0.001),
        office.call(DeskCall("token.grant", None)),
    ):
        with pytest.raises(Refused):
            await call


async def test_an_office_whose_background_work_ended_is_ill(running: Running) -> None:
    running.auth._office.stop()
    await asyncio.wait({running.auth._background})
    with pytest.raises(RuntimeError):
        await running.auth.check_health()


async def test_what_administration_does_waits_in_the_outbox_for_telemetry(
    running: Running,
) -> None:
    key = await running.office.verify(digest(running.keys["HELIXFLOW_ADMIN_KEY"]))
    await running.office.call(DeskCall("project.create", key.principal, b'{"name": "apollo"}'))
    async with asyncio.timeout(10):
        while not running.auth._recorder.last:
            await asyncio.sleep(0.01)
    assert running.auth._recorder.durable == 0
