"""The checks that every identity store must pass, whatever database it stands on."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from helixflow.errors import NotFound
from helixflow.identity.events import Event, EventName
from helixflow.identity.keys import KeyKind, mint
from helixflow.identity.permissions import Role
from helixflow.identity.ports import (
    AlreadyThere,
    Found,
    Installation,
    KeyStore,
    Page,
    Store,
    StoredKey,
    Unit,
)
from helixflow.identity.records import (
    Answered,
    Membership,
    Organization,
    Project,
    RefreshToken,
    ServiceAccount,
    SigningKey,
    StoredModel,
    StoredPolicy,
    StoredQuota,
    User,
)
from helixflow.ids import (
    OrganizationId,
    ProjectId,
    mint_organization_id,
    mint_project_id,
    mint_service_account_id,
    mint_user_id,
)
from helixflow.inference.quota import LimitName, Scope, ServiceClass
from helixflow.testing.identity import EPOCH, some_key

Work: TypeAlias = Callable[[Unit], Awaitable[None]]


async def add_tenant(store: Store, name: str = "a test's tenant") -> tuple[Organization, Project]:
    """A fresh organization with one project."""
    organization = Organization(mint_organization_id(), name, EPOCH)
    project = Project(mint_project_id(), organization.id, name, EPOCH)

    async def work(unit: Unit) -> None:
        await unit.organizations.add(organization)
        await unit.projects.add(project)

    await store.write(work)
    return organization, project


def changed(organization: OrganizationId, target: str = "it") -> Event:
    """An event, where a test needs one."""
    return Event(EventName.PROJECT_UPDATE, organization, None, "a test", target, EPOCH)


def some_quota(
    organization: OrganizationId,
    entity: Scope = Scope.ORGANIZATION,
    entity_id: str = "",
    project: ProjectId | None = None,
    *,
    name: LimitName = LimitName.REQUESTS_PER_MINUTE,
    scopes: str = "",
    amount: int = 100,
    model: str = "",
    at: float = EPOCH,
) -> StoredQuota:
    """A limit, counted per its entity where nothing else is said."""
    return StoredQuota(
        id="lim_" + secrets.token_hex(16),
        organization=organization,
        project=project,
        entity=entity,
        entity_id=entity_id or organization,
        name=name,
        scopes=scopes or entity.value,
        amount=amount,
        hard=False,
        model=entity_id if entity is Scope.MODEL else model,
        created_at=at,
        updated_at=at,
    )


async def check_units(store: Store, keys: KeyStore) -> None:
    """Units of work: whole or not at all, revisions with events. Raises `AssertionError`."""
    organization, project = await add_tenant(store)
    expect(await keys.revision() == 0, "what records no event raises nothing")

    async def rename(unit: Unit) -> None:
        await unit.projects.put(replace(project, name="renamed"))
        unit.record(changed(organization.id))
        unit.record(changed(organization.id))

    await store.write(rename)
    expect(await keys.revision() == 1, "a unit with events raises the revision once")
    renamed = await store.read(lambda unit: unit.projects.get(organization.id, project.id))
    expect(renamed == replace(project, name="renamed"), "and keeps what it did")

    async def grant(unit: Unit) -> None:
        unit.record(replace(changed(organization.id), name=EventName.TOKEN_GRANT))

    await store.write(grant)
    expect(await keys.revision() == 1, "a token that is granted takes no verdict back")

    async def fail(unit: Unit) -> None:
        await unit.projects.put(replace(project, name="never"))
        unit.record(changed(organization.id))
        raise LookupError

    try:
        await store.write(fail)
    except LookupError:
        pass
    else:
        raise AssertionError("what a unit raises passes through")
    after = await store.read(lambda unit: unit.projects.get(organization.id, project.id))
    expect(after == renamed, "a unit that raises leaves no record")
    expect(await keys.revision() == 1, "and raises nothing")


async def check_tenancy(store: Store) -> None:
    """What belongs to another tenant is not there. Raises `AssertionError`."""
    mine, project = await add_tenant(store, "mine")
    theirs, _ = await add_tenant(store, "theirs")

    async def look(unit: Unit) -> None:
        records = unit.projects
        expect(await records.get(mine.id, project.id) == project, "one's own is there")
        expect(await records.get(theirs.id, project.id) is None, "another's is not")
        expect(await records.where(theirs.id, name="mine") == [], "nor by a field")
        expect(await records.where(mine.id, name="mine") == [project], "which finds one's own")
        expect(
            (await records.page(mine.id, None, 9)) == Page((project,), more=False), "nor in a list"
        )
        own = await unit.organizations.get(mine.id, theirs.id)
        expect(own is None, "an organization sees itself alone")
        try:
            await records.page(theirs.id, project.id, 9)
        except NotFound:
            return
        raise AssertionError("another's id is no place in a list")

    await store.read(look)


async def check_pages(store: Store) -> None:
    """Lists come in pages, oldest first, nothing twice. Raises `AssertionError`."""
    organization, first = await add_tenant(store)
    rest = [
        Project(mint_project_id(), organization.id, f"{n}", EPOCH + 1 + n // 2) for n in range(6)
    ]

    async def fill(unit: Unit) -> None:
        for project in reversed(rest):
            await unit.projects.add(project)

    await store.write(fill)
    expected = [first, *sorted(rest, key=lambda project: (project.created_at, project.id))]
    for limit in (1, 2, 3, 7, 8):
        seen: list[Project] = []
        more, after = True, None
        while more:
            page = await _projects(store, organization.id, after, limit)
            seen += page.items
            more, after = page.more, page.items[-1].id
        expect(seen == expected, f"pages of {limit} give the whole list in order")


async def _projects(
    store: Store, organization: OrganizationId, after: str | None, limit: int
) -> Page[Project]:
    return await store.read(lambda unit: unit.projects.page(organization, after, limit))


async def check_round_trips(store: Store, keys: KeyStore) -> None:
    """Every kind of record is read back as it was stored. Raises `AssertionError`."""
    organization, project = await add_tenant(store)
    org, proj = organization.id, project.id
    user = User(mint_user_id(), org, "a@example.org", "Ada", EPOCH, "hash", 3, EPOCH + 1, None)
    account = ServiceAccount(mint_service_account_id(), org, proj, "robot", EPOCH)
    member = Membership("mem_1", org, None, user.id, Role.OWNER, EPOCH)
    token = RefreshToken(
        "rt_1", org, proj, "rt_1", user.id, b"t" * 32, frozenset({"b", "a"}), EPOCH, EPOCH + 9
    )
    signing = SigningKey("kid", "{}", b"\x00\xff", EPOCH, EPOCH, EPOCH + 1, EPOCH + 2)
    policy = StoredPolicy(
        "pol_1", org, proj, "p", "permit(...)", enabled=True, created_at=EPOCH, updated_at=EPOCH
    )
    quota = some_quota(
        org, Scope.PROJECT, proj, proj, scopes="model,project", amount=2**60, model="m"
    )
    model = StoredModel("echo", org, "{}", EPOCH, EPOCH)
    answered = Answered(f"{org}/k", org, b"r" * 32, 200, b"{}", EPOCH)
    key = replace(
        some_key(org, proj, mint(KeyKind.SERVICE)),
        models=frozenset({"b", "a"}),
        cidrs=frozenset({"10.0.0.0/8"}),
        service_account=account.id,
        expires_at=EPOCH + 0.125,
    )
    admin = replace(some_key(org, proj, mint(KeyKind.ADMIN)), project=None)

    async def fill(unit: Unit) -> None:
        await unit.users.add(user)
        await unit.service_accounts.add(account)
        await unit.memberships.add(member)
        await unit.refresh_tokens.add(token)
        await unit.signing_keys.add(signing)
        await unit.policies.add(policy)
        await unit.quotas.add(quota)
        await unit.models.add(model)
        await unit.answered.add(answered)
        await unit.keys.add(key)
        await unit.admin_keys.add(admin)

    await store.write(fill)

    async def look(unit: Unit) -> None:
        expect(await unit.users.get(org, user.id) == user, "a user")
        expect(await unit.service_accounts.get(proj, account.id) == account, "a service account")
        expect(await unit.memberships.get(org, member.id) == member, "a membership")
        expect(await unit.refresh_tokens.get(org, token.id) == token, "a refresh token")
        expect(await unit.refresh_token(token.mac) == token, "a refresh token by its MAC")
        expect(await unit.refresh_token(b"x" * 32) is None, "no refresh token")
        expect(await unit.signing_keys.get(None, "kid") == signing, "a signing key")
        expect(await unit.policies.get(org, policy.id) == policy, "a policy")
        expect(await unit.quotas.get(org, quota.id) == quota, "a limit")
        expect(await unit.models.get(org, model.id) == model, "a model")
        expect(await unit.answered.get(org, answered.id) == answered, "an answer")
        expect(await unit.keys.get(proj, key.id) == key, "a key")
        expect(await unit.admin_keys.get(org, admin.id) == admin, "an admin key")
        expect(await unit.admin_keys.get(org, key.id) is None, "a service key is no admin key")
        expect(await unit.memberships.where(org, project=None) == [member], "where nothing is")

    await store.read(look)
    whole = Found(key, 0, policies=True, limits=True)
    expect(await keys.find(key.mac) == whole, "a key by its MAC")
    await store.write(lambda unit: unit.quotas.remove(quota))
    off = replace(policy, enabled=False)
    await store.write(lambda unit: unit.policies.put(off))
    expect(await keys.find(key.mac) == Found(key, 0), "a policy that is not in force")
    await store.write(lambda unit: unit.policies.remove(off))
    gone = await store.read(lambda unit: unit.policies.get(org, policy.id))
    expect(gone is None, "what was removed is gone")


async def check_shares(store: Store, keys: KeyStore) -> None:
    """What an organization was given, as verification sees it. Raises `AssertionError`."""
    organization, project = await add_tenant(store)
    key = some_key(organization.id, project.id, mint(KeyKind.PROJECT))
    await _add_key(store, key)

    async def put(own: Organization) -> None:
        await store.write(lambda unit: unit.organizations.put(own))

    async def read() -> Organization | None:
        held = organization.id
        return await store.read(lambda unit: unit.organizations.get(held, held))

    for given in (
        replace(organization, tier="gold"),
        replace(organization, weight=0.5),
        replace(organization, service_class=ServiceClass.BATCH),
    ):
        await put(given)
        expect((await keys.find(key.mac)).limits, f"the key's organization has its own: {given}")
        expect(await read() == given, "and is read back as it is")
        await put(organization)
        expect(not (await keys.find(key.mac)).limits, "it has nothing of its own")


async def check_limits(store: Store, keys: KeyStore) -> None:
    """Limits, as verification and administration look them up. Raises `AssertionError`."""
    organization, project = await add_tenant(store)
    other, _ = await add_tenant(store)
    org, proj = organization.id, project.id
    key = some_key(org, proj, mint(KeyKind.PROJECT))
    await _add_key(store, key)
    rows = [
        some_quota(org, scopes="key"),
        some_quota(org, Scope.MODEL, "m"),
        some_quota(org, Scope.MODEL, "n", at=EPOCH + 1),
        some_quota(org, Scope.PROJECT, proj, proj),
        some_quota(org, Scope.PROJECT, proj, proj, scopes="model,project", model="m"),
        some_quota(org, Scope.USER, "oidc_1"),
        some_quota(org, Scope.KEY, key.id, proj),
    ]
    foreign = [some_quota(other.id), some_quota(other.id, Scope.MODEL, "m")]

    async def fill(unit: Unit) -> None:
        for row in (*rows, *foreign):
            await unit.quotas.add(row)

    await store.write(fill)
    expect((await keys.find(key.mac)).limits, "the key's organization has limits of its own")
    await store.read(lambda unit: _look_at_limits(unit, rows, other.id))
    twin = replace(rows[6], id="twin", amount=5)
    await expect_already_there(
        lambda: store.write(lambda unit: unit.quotas.add(twin)), "one place, one limit"
    )


async def _look_at_limits(unit: Unit, rows: list[StoredQuota], other: OrganizationId) -> None:
    org, proj, key = rows[0].organization, rows[3].entity_id, rows[6].entity_id
    asked: list[tuple[list[tuple[str, str | None]], set[StoredQuota]]] = [
        ([("key", key)], {rows[6]}),
        ([("user", "")], set()),
        ([("model", None), ("organization", org)], set(rows[:3])),
        ([("project", proj), ("key", "?"), ("user", "oidc_1")], {rows[3], rows[4], rows[5]}),
        ([], set()),
    ]
    for entities, expected in asked:
        found = await unit.quotas_about(org, entities)
        expect(set(found) == expected and len(found) == len(expected), f"about {entities}")
    expect(await unit.has_quotas_about(org, ("user", "key")), "something about these kinds")
    expect(not await unit.has_quotas_about(other, ("user", "key")), "nothing about these kinds")
    held = await unit.quota_shapes(org)
    expect(held.rows == len(rows), "every row is counted")
    kinds = {(row.name.value, row.scopes, row.model) for row in rows}
    expect(held.shapes == kinds, "and each kind is named")
    page = await unit.quotas.page(org, None, 1, entity=Scope.MODEL)
    expect(page == Page((rows[1],), more=True), "a page of a kind")
    page = await unit.quotas.page(org, rows[1].id, 9, entity=Scope.MODEL)
    expect(page == Page((rows[2],), more=False), "and the next one")


async def check_keys(store: Store, keys: KeyStore) -> None:
    """Verification's view of the keys. Raises `AssertionError`."""
    organization, project = await add_tenant(store)
    account = ServiceAccount(mint_service_account_id(), organization.id, project.id, "robot", EPOCH)
    key = replace(
        some_key(organization.id, project.id, mint(KeyKind.SERVICE)), service_account=account.id
    )

    async def fill(unit: Unit) -> None:
        await unit.service_accounts.add(account)
        await unit.keys.add(key)

    await store.write(fill)
    expect(await keys.find(b"\x00" * 32) == Found(None, 0), "an unknown MAC finds nothing")
    for used_at, expected in ((EPOCH + 5, EPOCH + 5), (EPOCH + 1, EPOCH + 5)):
        await keys.touch({key.id: used_at})
        seen = (await keys.find(key.mac)).key
        expect(seen == replace(key, last_used_at=expected), "the last use is the latest")
    await keys.touch({})
    expect(await keys.revision() == 0, "a use is no change")
    off: list[tuple[str, Work, Work]] = [
        (
            "organization",
            lambda unit: unit.organizations.put(replace(organization, disabled_at=EPOCH)),
            lambda unit: unit.organizations.put(organization),
        ),
        (
            "project",
            lambda unit: unit.projects.put(replace(project, archived_at=EPOCH)),
            lambda unit: unit.projects.put(project),
        ),
        (
            "service account",
            lambda unit: unit.service_accounts.put(replace(account, disabled_at=EPOCH)),
            lambda unit: unit.service_accounts.put(account),
        ),
    ]
    for what, switch_off, switch_on in off:
        await store.write(switch_off)
        expect((await keys.find(key.mac)).disabled, f"a key is disabled with its {what}")
        await store.write(switch_on)
        expect(not (await keys.find(key.mac)).disabled, f"and comes back with its {what}")


async def check_uniqueness(store: Store) -> None:
    """What may exist once exists once. Raises `AssertionError`."""
    organization, project = await add_tenant(store)
    key = some_key(organization.id, project.id, mint(KeyKind.PROJECT))
    twin = replace(some_key(organization.id, project.id, mint(KeyKind.PROJECT)), mac=key.mac)
    await _add_key(store, key)
    await expect_already_there(lambda: _add_key(store, twin), "one MAC, one key")
    begun = Installation(organization.id, project.id, b"c" * 32, EPOCH)
    await store.write(lambda unit: unit.install(begun))
    expect(await store.read(lambda unit: unit.installation()) == begun, "an installation")
    await expect_already_there(
        lambda: store.write(lambda unit: unit.install(begun)), "one installation"
    )


async def _add_key(store: Store, key: StoredKey) -> None:
    await store.write(lambda unit: unit.keys.add(key))


async def expect_already_there(attempt: Callable[[], Awaitable[None]], what: str) -> None:
    """Fail with `what` unless the attempt raises `AlreadyThere`."""
    try:
        await attempt()
    except AlreadyThere:
        return
    raise AssertionError(what)


def expect(holds: bool, what: str) -> None:
    """Fail with `what` unless it holds."""
    if not holds:
        raise AssertionError(what)
