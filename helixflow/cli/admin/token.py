"""`helixflow token`: access tokens, as programs and people get them (OAuth 2)."""

from __future__ import annotations

from typing import Annotated

import typer

from helixflow.cli.admin.api import Body
from helixflow.cli.admin.secret_input import ask_secret
from helixflow.cli.admin.session import SHOWN_ONCE, Session, administers
from helixflow.cli.command import complain, print_json
from helixflow.cli.failure import CommandFailed

app = typer.Typer(
    no_args_is_help=True,
    help="Access tokens. Secrets are asked for, or read from standard input; never arguments.",
)

_GRANT, _REVOKE, _KEYS = "/v1/auth/token", "/v1/auth/revoke", "/.well-known/jwks.json"


@app.command()
@administers
def grant(
    session: Session,
    client_id: Annotated[
        str | None, typer.Option(help="A key's or a service account's id; the key is the secret.")
    ] = None,
    email: Annotated[
        str | None, typer.Option(help="Or a local user; the password follows.")
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Or a refresh token.")] = False,
    project: Annotated[str | None, typer.Option("--project", "-p", help="With --email.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A permission; repeat it.")] = None,
) -> None:
    """Get an access token; it alone goes to standard output."""
    body = _asked(client_id, email, refresh=refresh, project=project)
    if scope:
        body["scope"] = " ".join(scope)
    granted = session.open_api.post(_GRANT, body)
    if session.json:
        print_json(granted)
        return
    typer.echo(granted["access_token"])
    complain(f"valid for {granted.get('expires_in')} s; scope: {granted.get('scope') or '-'}")
    if text := granted.get("refresh_token"):
        complain(f"the refresh token, {SHOWN_ONCE}:")
        typer.echo(text, err=True)


@app.command()
@administers
def revoke(session: Session) -> None:
    """End an access token or a refresh token, which is asked for or read from standard input."""
    body = session.open_api.post(_REVOKE, {"token": ask_secret("Token")})
    session.say(body, "revoked; it is refused everywhere within a second")


@app.command()
@administers
def keys(session: Session) -> None:
    """Show the published keys that access tokens are checked with (JWKS)."""
    print_json(session.open_api.get(_KEYS))


def _asked(client_id: str | None, email: str | None, *, refresh: bool, project: str | None) -> Body:
    if sum((client_id is not None, email is not None, refresh)) != 1:
        raise CommandFailed("say one of --client-id, --email and --refresh")
    if client_id is not None:
        secret = ask_secret("API key")
        return {
            "grant_type": "client_credentials", "client_id": client_id, "client_secret": secret,
        }  # fmt: skip
    if refresh:
        return {"grant_type": "refresh_token", "refresh_token": ask_secret("Refresh token")}
    body = {"grant_type": "password", "username": email, "password": ask_secret("Password")}
    return body if project is None else {**body, "project": project}
