"""`helixflow audit`: who did what; exports and seals; whether an export is what was written.

`verify` needs no platform, no key and no network, only the file.

Failure behavior: an export that breaks off leaves no file under its name. Exit code 1 where a file
does not verify, and the first broken record is named.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from helixflow.cli.admin.api import AdminApi, Body, path
from helixflow.cli.admin.audit_lines import RECORDS, line_of, second
from helixflow.cli.admin.key import duration_s, end_of
from helixflow.cli.admin.session import LIMIT, Limit, Session, Yes, administers, confirm
from helixflow.cli.command import Json, command, print_json
from helixflow.cli.failure import CommandFailed

if TYPE_CHECKING:
    from helixflow.telemetry.audit.seals import Seal

app = typer.Typer(no_args_is_help=True, help="The audit log: who did what, and its proof.")

_PAGE_MAX = 100
_SEALS_PAGE = 1000
_EVERY_S = 2.0


class Outcome(StrEnum):
    """What came of it."""

    DENIED = "denied"
    DONE = "done"
    FAILED = "failed"


Platform = Annotated[
    bool, typer.Option("--platform", help="What belongs to no organization, as failed sign-ins.")
]
Since = Annotated[
    str | None, typer.Option(help="From when on: 7d, 24h, 30m ago, or a date or a time (UTC).")
]
Until = Annotated[str | None, typer.Option(help="Up to when: a date or a time.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", "-t", help="As api_key.created; repeat it.")
]
Actors = Annotated[list[str] | None, typer.Option("--actor", "-a", help="By this id or address.")]
Targets = Annotated[list[str] | None, typer.Option("--target", help="Done to this id.")]
Projects = Annotated[list[str] | None, typer.Option("--project", "-p", help="In this project.")]
Outcomes = Annotated[list[Outcome] | None, typer.Option("--outcome", help="Only these.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]


@app.command()
@administers
def query(
    session: Session,
    since: Since = None,
    until: Until = None,
    type_: Types = None,
    actor: Actors = None,
    target: Targets = None,
    project: Projects = None,
    outcome: Outcomes = None,
    platform: Platform = False,
    after: Annotated[str | None, typer.Option(help="Only what is older than this id.")] = None,
    limit: Limit = LIMIT,
) -> None:
    """Show what happened, the newest first."""
    now = time.time()
    asked = [*_chain(platform)]
    if since is not None:
        asked.append(("effective_at[gte]", str(int(_begin(since, now)))))
    if until is not None:
        asked.append(("effective_at[lt]", str(int(end_of(until, now) or now))))
    for name, values in (
        ("event_types", type_), ("actor_ids", actor), ("resource_ids", target),
        ("project_ids", project), ("outcomes", outcome),
    ):  # fmt: skip
        asked += [(name, str(value)) for value in values or ()]
    body = _records(session.api, asked, after, limit)
    session.show_list(body, RECORDS)


@app.command()
@administers
def tail(
    session: Session,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=_PAGE_MAX)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on.")] = False,
    platform: Platform = False,
) -> None:
    """Show the end of the log, a line for each record, and follow it."""
    newest = _page(session.api, [*_chain(platform), ("limit", str(lines))])
    for record in reversed(newest["data"]):
        _print(session, record)
    if follow:
        for record in _following(session.api, _chain(platform), newest["first_id"]):
            _print(session, record)


@app.command()
@administers
def export(
    session: Session,
    output: Output,
    since: Since = None,
    until: Until = None,
    platform: Platform = False,
) -> None:
    """Write the log to a file that anyone can verify (JSON Lines)."""
    now = time.time()
    asked = [*_chain(platform)]
    if since is not None:
        asked.append(("since", str(int(_begin(since, now)))))
    if until is not None:
        asked.append(("until", str(int(end_of(until, now) or now))))
    where = f"{path('audit_logs', 'export')}?{urlencode(asked)}"
    count, size, last = 0, 0, b""
    with _written(output) as file:
        for data in session.api.stream(where):
            file.write(data)
            size += len(data)
            count += data.count(b"\n")
            last = (last + data)[-64:]
        if b'{"end":{' not in last:
            raise CommandFailed("the export broke off; nothing was written")
    told: Body = {"file": str(output), "lines": count, "bytes": size}
    session.say(told, f"{output}: {count} lines; check them with `helixflow audit verify {output}`")


@app.command()
@administers
def seals(
    session: Session,
    output: Output,
    after: Annotated[int, typer.Option(min=0, help="Only those over later records.")] = 0,
    platform: Platform = False,
) -> None:
    """Keep the signed heads of the log: whoever has them can prove later that something was cut."""
    count, begin, public = 0, after, ""
    with _written(output) as file:
        more = True
        while more:
            asked = [*_chain(platform), ("after", str(begin)), ("limit", str(_SEALS_PAGE))]
            body = session.api.get(f"{path('audit_logs', 'seals')}?{urlencode(asked)}")
            for one in body["data"]:
                file.write(str(one["line"]).encode() + b"\n")
                count, begin = count + 1, int(one["sequence"])
            public = str(body["public_key"])
            more = bool(body["has_more"])
    told: Body = {"file": str(output), "seals": count, "public_key": public}
    session.say(told, f"{output}: {count} seals; the public key is {public}")


@app.command()
@administers
def erase(
    session: Session,
    person: Annotated[str, typer.Argument(help="The id of a user, key or account, or an address.")],
    platform: Platform = False,
    yes: Yes = False,
) -> None:
    """Have the log forget a person. What named it is unreadable from then on, for everybody."""
    confirm(f"The log forgets {person} for good. Go on?", yes)
    chain = "platform" if platform else "organization"
    body = session.api.post(path("audit_logs", "erasures"), {"person": person, "chain": chain})
    session.say(body, f"{person} is forgotten; its records have the index {body['index']}")


@app.command()
@command
def verify(
    file: Annotated[Path, typer.Argument(help="An export.")],
    seals_: Annotated[
        list[Path] | None, typer.Option("--seals", help="Seals, or an export, kept from earlier.")
    ] = None,
    public_key: Annotated[
        list[str] | None, typer.Option(help="A key that is trusted, 64 hexadecimal digits.")
    ] = None,
    json_: Json = False,
) -> None:
    """Check an export, without a platform. Exit code 1: it is not what was written."""
    # They take a moment to load, and only this command needs them.
    from helixflow.telemetry.audit.verify import Broken
    from helixflow.telemetry.audit.verify import lines_of as read_lines
    from helixflow.telemetry.audit.verify import verify as verify_lines

    trusted = [_public_key(text) for text in public_key or ()]
    held = [seal for kept in seals_ or () for seal in _seals_of(kept)]
    try:
        with _opened(file) as export_file:
            report = verify_lines(read_lines(export_file), held, trusted)
    except Broken as broken:
        if json_:
            fault = {"record": broken.sequence, "line": broken.line, "what": broken.what}
            print_json({"file": str(file), "verified": False, "broken": fault})
        raise CommandFailed(f"{file}: {broken}") from broken
    if json_:
        print_json({"file": str(file), "verified": True, **asdict(report)})
        return
    about = f"records {report.first} to {report.last}" if report.records else "no records"
    typer.echo(f"{file}: good: {about} of the chain {report.chain}")
    if report.dropped:
        typer.echo(f"  {report.dropped} of them have lost their content, as checkpoints say")
    if report.first > 1:
        typer.echo(f"  what was before record {report.first} is not in the file")
    typer.echo(f"  sealed to its end at {second(report.sealed_at_ms / 1000)}, {report.seals} seals")
    if held:
        typer.echo(f"  {report.held} held seals fit, {report.not_compared} are not about this part")
    typer.echo(f"  keys: {', '.join(report.keys)}")
    if not report.pinned:
        typer.echo("  the keys are the file's own: give --public-key or --seals to know whose")


def _public_key(text: str) -> bytes:
    from helixflow.crypto.ed25519 import PublicKey

    try:
        return PublicKey(bytes.fromhex(text)).raw
    except ValueError:
        raise CommandFailed(f"{text!r} is no public key: it has 64 hexadecimal digits") from None


def _seals_of(file: Path) -> list[Seal]:
    from helixflow.telemetry.audit.seals import NotASeal, seals_among
    from helixflow.telemetry.audit.verify import lines_of as read_lines

    with _opened(file) as opened:
        try:
            found = list(seals_among(read_lines(opened)))
        except NotASeal as error:
            raise CommandFailed(f"{file}: a seal in it cannot be used: {error}") from None
    if not found:
        raise CommandFailed(f"{file}: there is no seal in it")
    return found


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    try:
        with file.open("rb") as opened:
            yield opened
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror or error}") from error


@contextlib.contextmanager
def _written(file: Path) -> Iterator[IO[bytes]]:
    """A file that has its name once it is whole."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            with draft.open("wb") as opened:
                yield opened
            draft.replace(file)
        except OSError as error:
            raise CommandFailed(f"{file}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _chain(platform: bool) -> list[tuple[str, str]]:
    return [("chain", "platform")] if platform else []


def _page(api: AdminApi, asked: list[tuple[str, str]]) -> Body:
    return api.get(f"{path('audit_logs')}?{urlencode(asked)}")


def _records(api: AdminApi, asked: list[tuple[str, str]], after: str | None, limit: int) -> Body:
    """Up to `limit` records, the newest first, over as many pages as that takes."""
    data: list[Body] = []
    more = True
    while more and len(data) < limit:
        page = [*asked, ("limit", str(min(_PAGE_MAX, limit - len(data))))]
        body = _page(api, page if after is None else [*page, ("after", after)])
        data += body["data"]
        after, more = body["last_id"], bool(body["has_more"])
    ids = [one["id"] for one in data] or [None]
    ends = {"first_id": ids[0], "last_id": ids[-1], "has_more": more}
    return {"object": "list", "data": data, **ends}


def _following(
    api: AdminApi, asked: list[tuple[str, str]], last: str | None, every_s: float = _EVERY_S
) -> Iterator[Body]:
    """Records as they come."""
    for turn in itertools.count():
        if turn:
            time.sleep(every_s)
        more = True
        while more:
            page = [*asked, ("limit", str(_PAGE_MAX))]
            body = _page(api, page if last is None else [*page, ("before", last)])
            yield from reversed(body["data"])
            last, more = body["first_id"] or last, bool(body["has_more"]) and last is not None


def _print(session: Session, record: Body) -> None:
    if session.json:
        print_json(record)
    else:
        typer.echo(line_of(record))


def _begin(text: str, now: float) -> float:
    """Epoch seconds of what a person calls a beginning: `7d` is that long ago."""
    if text[:-1].isdigit() and text[-1:] in "smhd":
        return max(0.0, now - duration_s(text))
    at = end_of(text, now)
    if at is None:
        raise CommandFailed("say since when: 7d, or 2027-01-31")
    return at
