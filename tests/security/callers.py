"""Everybody who may stand before a door, with what the role table says about them."""

from __future__ import annotations

from dataclasses import dataclass

from helixflow.identity.api_keys import KeyWish
from helixflow.identity.keys import KeyKind, mint
from helixflow.identity.permissions import KIND_PERMISSIONS, ROLE_PERMISSIONS, Role
from helixflow.testing.platform import Platform, Tenant


@dataclass(frozen=True)
class Caller:
    """Somebody with a credential.

    Attributes:
        kind: what to call it in a failure.
        permissions: what it may do in its tenant.
        refused: the reason for which nobody lets it in; None for who is let in.
    """

    kind: str
    credential: str | None
    permissions: frozenset[str] = frozenset()
    refused: str | None = None


async def admitted(platform: Platform, tenant: Tenant) -> list[Caller]:
    """Who is let into a tenant: a key of each kind, and a person in each role."""
    kinds = {
        KeyKind.PROJECT: tenant.project_key,
        KeyKind.SERVICE: tenant.service_key,
        KeyKind.ADMIN: tenant.admin_key,
    }
    keys = [Caller(f"{kind} key", text, KIND_PERMISSIONS[kind]) for kind, text in kinds.items()]
    people = [
        Caller(f"{role}'s token", await platform.token(tenant, role), ROLE_PERMISSIONS[role])
        for role in Role
    ]
    return keys + people


async def shut_out(platform: Platform, tenant: Tenant) -> list[Caller]:
    """Who is let in nowhere, whatever its credential was good for. Lets the clock go on."""
    actor, clock = platform.owner(tenant), platform.clock
    settings = platform.settings.identity.tokens
    nobody = [
        Caller("nobody", None, refused="missing_api_key"),
        Caller("a stranger", "sk-stranger", refused="invalid_api_key"),
        Caller("a key with a typo", tenant.project_key[:-1] + "?", refused="invalid_api_key"),
    ]
    for kind in KeyKind:
        text = mint(kind).secret.reveal()
        nobody.append(Caller(f"an unknown {kind} key", text, refused="invalid_api_key"))
    for project in (tenant.project, None):
        what = "admin" if project is None else "project"
        gone = await platform.keys.create(actor, project, KeyWish("gone"))
        await platform.keys.revoke(actor, project, gone.key.id)
        nobody.append(
            Caller(f"a revoked {what} key", gone.secret.reveal(), refused="invalid_api_key")
        )
        brief = await platform.keys.create(
            actor, project, KeyWish("brief", expires_at=clock.now() + 60)
        )
        nobody.append(
            Caller(f"an expired {what} key", brief.secret.reveal(), refused="expired_api_key")
        )
    robot = await platform.accounts.create(actor, tenant.project, "disabled")
    await platform.accounts.disable(actor, tenant.project, robot.account.id)
    text = robot.issued.secret.reveal()
    nobody.append(Caller("a disabled account's key", text, refused="invalid_api_key"))
    closed = await platform.projects.create(actor, "archived")
    shut = await platform.keys.create(actor, closed.id, KeyWish("shut"))
    await platform.projects.archive(actor, closed.id)
    text = shut.secret.reveal()
    nobody.append(Caller("an archived project's key", text, refused="invalid_api_key"))
    nobody.append(
        Caller(
            "an expired token", await platform.token(tenant, Role.OWNER), refused="expired_api_key"
        )
    )
    clock.advance(settings.access_s + settings.leeway_s + 1)
    token = await platform.token(tenant, Role.OWNER)
    await platform.revoke_token(token)
    nobody.append(Caller("a revoked token", token, refused="invalid_api_key"))
    alive = await platform.token(tenant, Role.OWNER)
    nobody.append(Caller("a changed token", alive[:-6] + "AAAAAA", refused="invalid_api_key"))
    return nobody
