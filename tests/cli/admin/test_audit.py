"""`helixflow audit` against the real routes, desks and stores; `verify` against files alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from helixflow.cli.admin.api import AdminApi
from helixflow.cli.admin.audit import _following
from helixflow.cli.main import app
from helixflow.telemetry.audit.record import PLATFORM
from helixflow.testing.audit import AuditParts, admin_event, denial, failure
from helixflow.testing.clock import ManualClock
from helixflow.testing.http import serving
from helixflow.testing.platform import Platform
from tests.cli.fake_admin import Administration

from .conftest import Run


class Typing:
    """A platform with a few records, and a way to type commands at it."""

    def __init__(self, platform: Platform, organization: str, port: int, key: str) -> None:
        self.platform = platform
        self.organization = organization
        self.base_url = f"http://127.0.0.1:{port}"
        self.key = key
        self._number = 0

    async def typed(self, *words: object, **options: Any) -> Result:
        full = ["audit", *(str(word) for word in words), "--base-url", self.base_url]
        environ = {"HELIXFLOW_ADMIN_KEY": self.key}
        return await asyncio.to_thread(CliRunner().invoke, app, full, env=environ, **options)

    async def shown(self, *words: object) -> str:
        result = await self.typed(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    async def json(self, *words: object) -> Any:
        return json.loads(await self.shown(*words, "--json"))

    async def happen(self, *events: Any) -> None:
        self._number += 1
        await self.platform.audit.sink.write("test", self._number, list(events))


@pytest.fixture
async def audit(tmp_path: Path) -> AsyncIterator[Typing]:
    clock = ManualClock(float(int(time.time())))
    async with Platform.open(tmp_path, clock=clock) as platform, serving(platform.app) as port:
        key = platform.prepared.admin_key
        assert key is not None
        caller = await platform.authenticator.authenticate(key.reveal())
        typing = Typing(platform, caller.organization, port, key.reveal())
        where, now = {"organization": caller.organization}, clock.now()
        await typing.happen(
            admin_event(
                1, at=now - 7200, before={"role": "viewer"}, after={"role": "owner"}, **where
            ),
            admin_event(2, "user:create", at=now - 60, target="user_bob", **where),
            denial(3, at=now - 30, **where),
            failure(4, at=now - 20, count=3),
        )
        yield typing


async def test_what_happened_is_shown_and_filtered(audit: Typing) -> None:
    shown = await audit.shown("query")
    words = [line.split() for line in shown.splitlines()]
    assert [line[2] for line in words[-3:]] == [
        "authorization.denied", "user.added", "api_key.created",
    ]  # fmt: skip
    assert "key_robot" in shown
    assert "denied (permission_denied)" in shown
    assert "user_ada" in shown
    for filters, types in (
        (("--type", "user.added"), ["user.added"]),
        (("--actor", "user_ada", "--since", "1h"), ["user.added"]),
        (("--target", "key_1"), ["api_key.created"]),
        (("--outcome", "denied"), ["authorization.denied"]),
        (("--project", "proj_1", "--limit", "2"), ["authorization.denied", "user.added"]),
        (("--until", time.strftime("%Y-%m-%d", time.gmtime(time.time() - 9 * 86_400))), []),
    ):
        assert [one["type"] for one in (await audit.json("query", *filters))["data"]] == types
    failed = await audit.json("query", "--platform")
    assert [one["type"] for one in failed["data"]] == ["login.failed"]
    assert "failed x3 (invalid_api_key)" in await audit.shown("query", "--platform")
    assert "say since when" in (await audit.typed("query", "--since", "never")).stderr


async def test_a_long_list_comes_over_several_pages(audit: Typing) -> None:
    where = {"organization": audit.organization}
    await audit.happen(*(admin_event(n, **where) for n in range(10, 260)))
    body = await audit.json("query", "--limit", "150")
    assert (len(body["data"]), body["has_more"]) == (150, True)
    rest = await audit.json("query", "--after", body["last_id"], "--limit", "500")
    assert (len(rest["data"]), rest["has_more"]) == (103, False)


async def test_the_end_is_shown_and_followed(audit: Typing) -> None:
    lines = (await audit.shown("tail", "--lines", "2")).splitlines()
    assert [line.split()[2] for line in lines] == ["user.added", "authorization.denied"]
    assert (await audit.json("tail", "--lines", "1"))["type"] == "authorization.denied"
    newest = (await audit.json("query", "--limit", "1"))["first_id"]
    api = AdminApi(audit.base_url, audit.key)

    def follow(last: str | None, count: int) -> list[str]:
        records = _following(api, [], last, every_s=0.0)
        return [next(records)["type"] for _ in range(count)]

    where = {"organization": audit.organization}
    following = asyncio.create_task(asyncio.to_thread(follow, newest, 130))
    await audit.happen(*(admin_event(n, "policy:create", **where) for n in range(10, 140)))
    assert await following == ["policy.created"] * 130
    assert (await asyncio.to_thread(follow, None, 2))[0] == "policy.created"


async def test_an_export_is_written_verified_and_held_against_seals(
    audit: Typing, tmp_path: Path
) -> None:
    file, seals = tmp_path / "audit.jsonl", tmp_path / "seals.jsonl"
    told = await audit.json("seals", "--output", seals)
    assert told["seals"] == 1
    assert "1 seals" in await audit.shown("seals", "-o", tmp_path / "again.jsonl")
    where = {"organization": audit.organization}
    await audit.happen(*(denial(n, key=f"key_{n}", **where) for n in range(100, 160)))
    written = await audit.json("export", "--output", file)
    assert written["lines"] == len(file.read_bytes().splitlines())
    runner = CliRunner()
    good = runner.invoke(
        app,
        ["audit", "verify", str(file), "--seals", str(seals), "--public-key", told["public_key"]],
    )
    assert good.exit_code == 0, good.output
    assert "good: records 1 to 63" in good.stdout
    assert "1 held seals fit" in good.stdout
    assert "file's own" not in good.stdout
    some = tmp_path / "some.jsonl"
    assert "lines" in await audit.shown(
        "export", "-o", some, "--since", "1h", "--until", "2100-01-01"
    )
    shown = runner.invoke(app, ["audit", "verify", str(some), "--seals", str(file)]).stdout
    assert "what was before record 2 is not in the file" in shown
    await audit.shown("export", "-o", tmp_path / "platform.jsonl", "--platform")
    assert PLATFORM in (tmp_path / "platform.jsonl").read_text().splitlines()[0]


async def test_a_person_is_forgotten_and_the_export_still_verifies(
    audit: Typing, tmp_path: Path
) -> None:
    seals, file = tmp_path / "seals.jsonl", tmp_path / "audit.jsonl"
    await audit.shown("seals", "-o", seals)
    assert "nothing was changed" in (await audit.typed("erase", "user_ada", input="n\n")).stderr
    assert "is forgotten" in await audit.shown("erase", "user_ada", "--yes")
    shown = await audit.shown("query")
    assert "user_ada" not in shown
    assert "(forgotten)" in shown
    assert "person.erased" in shown
    await audit.shown("export", "-o", file)
    checked = CliRunner().invoke(app, ["audit", "verify", str(file), "--seals", str(seals)])
    assert checked.exit_code == 0, checked.output
    again = await audit.typed("erase", "user_ada", "--yes")
    assert "knows nobody" in again.stderr
    assert "is forgotten" in await audit.shown("erase", "203.0.113.0/24", "--platform", "--yes")


async def test_a_part_without_content_is_said_to_have_lost_it(tmp_path: Path) -> None:
    parts = AuditParts(authorization_days=1)
    await parts.sink.write("s", 1, [denial(1, at=parts.clock.now() - 9 * 86_400)])
    await parts.retention.run(parts.clock.now())
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(await parts.exported()))
    shown = CliRunner().invoke(app, ["audit", "verify", str(file)]).stdout
    assert "1 of them have lost their content" in shown


@pytest.fixture
async def export(tmp_path: Path) -> Path:
    parts = AuditParts()
    await parts.sink.write("s", 3, [admin_event(n) for n in (1, 2, 3)])
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(await parts.exported()))
    return file


def test_verifying_needs_no_platform_and_no_ray(export: Path) -> None:
    code = (
        "import sys\nfrom helixflow.cli.main import app\n"
        f"try: app(['audit', 'verify', {str(export)!r}])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "assert 'ray' not in sys.modules and 'sqlalchemy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "good: records 1 to 3 of the chain org_one" in done.stdout
    assert "the keys are the file's own" in done.stdout


def test_the_first_broken_record_is_named_and_is_the_exit_code(bare: Run, export: Path) -> None:
    assert json.loads(bare("audit", "verify", export, "--json").stdout)["records"] == 3
    lines = export.read_bytes().splitlines(keepends=True)
    export.write_bytes(
        b"".join([*lines[:2], lines[2].replace(b"key:create", b"key:delete"), *lines[3:]])
    )
    broken = bare("audit", "verify", export)
    assert broken.exit_code == 1
    assert "record 2 (line 3): its hash does not follow" in broken.stderr
    told = json.loads(bare("audit", "verify", export, "--json").stdout)
    assert (told["verified"], told["broken"]["record"]) == (False, 2)


def test_what_cannot_be_used_is_said(bare: Run, export: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    bad = tmp_path / "bad"
    bad.write_bytes(b'{"public":"x"}\n')
    for words, told in (
        (("verify", tmp_path / "none"), "No such file"),
        (("verify", empty), "breaks off"),
        (("verify", export, "--seals", empty), "no seal"),
        (("verify", export, "--seals", bad), "cannot be used"),
        (("verify", export, "--public-key", "xx"), "no public key"),
        (("verify", export, "--public-key", "11" * 32), "not trusted"),
    ):
        refused = bare("audit", *words)
        assert refused.exit_code == 1, words
        assert told in refused.stderr, refused.stderr


async def test_an_empty_export_says_so(bare: Run, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(await AuditParts().exported()))
    assert "no records of the chain org_one" in bare("audit", "verify", file).stdout


def test_an_export_that_is_refused_or_is_none_leaves_no_file(
    run: Run, administration: Administration, tmp_path: Path
) -> None:
    file = tmp_path / "out" / "audit.jsonl"
    assert "No such file" in run("audit", "export", "-o", file).stderr
    file.parent.mkdir()
    broken = run("audit", "export", "-o", file)  # what answers here writes no export
    assert broken.exit_code == 1
    assert list(file.parent.iterdir()) == []
