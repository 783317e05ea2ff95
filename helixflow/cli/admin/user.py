"""`helixflow user`: the people of the organization, and invitations."""

from __future__ import annotations

from typing import Annotated

import typer

from helixflow.cli.admin.api import Body, path
from helixflow.cli.admin.member import AsRole, UserId
from helixflow.cli.admin.secret_input import ask_secret
from helixflow.cli.admin.session import LIMIT, After, Limit, Session, administers
from helixflow.cli.failure import CommandFailed
from helixflow.identity.permissions import Role

app = typer.Typer(no_args_is_help=True, help="The people of the organization.")
invite_app = typer.Typer(no_args_is_help=True, help="Invitations into the organization.")
app.add_typer(invite_app, name="invite")

Email = Annotated[str, typer.Argument(help="The person's e-mail address.")]
Name = Annotated[str | None, typer.Option(help="What people call the person.")]
Password = Annotated[bool, typer.Option("--password", help="Ask for one, or read it.")]
InviteId = Annotated[str, typer.Argument(help="The invitation's id.")]

USERS = (
    ("id", "id"),
    ("email", "email"),
    ("name", "name"),
    ("role", "role"),
    ("added", "added_at"),
    ("disabled", "disabled_at"),
)
INVITES = (
    ("id", "id"),
    ("email", "email"),
    ("role", "role"),
    ("status", "status"),
    ("expires", "expires_at"),
)


@app.command("list")
@administers
def list_(session: Session, after: After = None, limit: Limit = LIMIT) -> None:
    """Show the people, disabled ones included."""
    session.show_list(session.api.page(path("users"), after, limit), USERS)


@app.command()
@administers
def create(
    session: Session,
    email: Email,
    role: AsRole,
    name: Name = None,
    password: Password = False,
) -> None:
    """Add a person; with --password (from the terminal, or standard input) who can sign in here."""
    body = {"email": email, **_given(role, name, password=password)}
    session.show(session.api.post(path("users"), body))


@app.command()
@administers
def show(session: Session, user: UserId) -> None:
    """Show one person."""
    session.show(session.api.get(path("users", user)))


@app.command()
@administers
def update(
    session: Session,
    user: UserId,
    role: Annotated[Role | None, typer.Option(help="Another role in the organization.")] = None,
    name: Name = None,
    password: Password = False,
) -> None:
    """Change what is given of a person; a password comes from the terminal or standard input."""
    changes = _given(role, name, password=password)
    if not changes:
        raise CommandFailed("say what to change: --role, --name or --password")
    session.show(session.api.post(path("users", user), changes))


@app.command()
@administers
def disable(session: Session, user: UserId) -> None:
    """Switch a person off: their tokens are refused."""
    body = session.api.delete(path("users", user))
    session.say(body, f"{user} is off; their tokens are refused within a second")


@invite_app.command("list")
@administers
def list_invites(session: Session, after: After = None, limit: Limit = LIMIT) -> None:
    """Show the invitations."""
    session.show_list(session.api.page(path("invites"), after, limit), INVITES)


@invite_app.command("create")
@administers
def create_invite(
    session: Session, email: Email, role: AsRole = Role.DEVELOPER, name: Name = None
) -> None:
    """Invite a person; the invitation's secret is shown once."""
    body = {"email": email, **_given(role, name, password=False)}
    session.show_secret(session.api.post(path("invites"), body))


@invite_app.command("show")
@administers
def show_invite(session: Session, invite: InviteId) -> None:
    """Show one invitation."""
    session.show(session.api.get(path("invites", invite)))


@invite_app.command("delete")
@administers
def delete_invite(session: Session, invite: InviteId) -> None:
    """Take an invitation back."""
    body = session.api.delete(path("invites", invite))
    session.say(body, f"{invite} is taken back")


@invite_app.command("accept")
@administers
def accept_invite(session: Session) -> None:
    """Choose a password. The invitation and the password are asked for, or read as two lines."""
    body = {"invitation": ask_secret("Invitation"), "password": ask_secret("Password")}
    session.show(session.open_api.post("/v1/auth/accept", body))


def _given(role: Role | None, name: str | None, *, password: bool) -> Body:
    """What was named; a password is asked for."""
    given: Body = {"role": role and role.value, "name": name}
    if password:
        given["password"] = ask_secret("Password")
    return {field: value for field, value in given.items() if value is not None}
