"""What an operation of the desk is: its arguments, its permission, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from helixflow.clock import Clock
from helixflow.crypto.master_key import KeyRing
from helixflow.errors import InvalidRequest, Refusal
from helixflow.identity.api_keys import ApiKeys
from helixflow.identity.events import Actor
from helixflow.identity.invites import Invites
from helixflow.identity.keys import PEPPER_PURPOSE
from helixflow.identity.limits import Limits
from helixflow.identity.members import Members
from helixflow.identity.organizations import Organizations
from helixflow.identity.permissions import Permission
from helixflow.identity.policies import Policies
from helixflow.identity.ports import Page, Store
from helixflow.identity.project_rates import ProjectRates
from helixflow.identity.projects import Projects
from helixflow.identity.quotas import Tiers
from helixflow.identity.records import etag
from helixflow.identity.service_accounts import ServiceAccounts
from helixflow.identity.signing_keys import SigningKeys
from helixflow.identity.users import Users
from helixflow.ids import ProjectId
from helixflow.settings import TokenSettings

Json: TypeAlias = dict[str, Any]


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root of all arguments."""


class Paging(Arguments, frozen=True, kw_only=True):
    """A part of a list."""

    after: str | None = None
    limit: int = 20


class InProject(Arguments, frozen=True, kw_only=True):
    """What is in a project; the caller's permissions there count."""

    project_id: ProjectId


class ProjectPaging(InProject, frozen=True, kw_only=True):
    """A part of a list of a project."""

    after: str | None = None
    limit: int = 20


class Services:
    """The services, over one store or within one unit of work."""

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        settings: TokenSettings,
        clock: Clock,
        tiers: Tiers,
        content_days_max: int = 0,
    ) -> None:
        self.store = store
        self.clock = clock
        self.organizations = Organizations(store, tiers, clock)
        self.limits = Limits(store, tiers, clock)
        self.rates = ProjectRates(store, self.limits)
        self.projects = Projects(store, clock, content_days_max)
        self.keys = ApiKeys(store, ring.derive(PEPPER_PURPOSE), clock)
        self.accounts = ServiceAccounts(store, self.keys, clock)
        self.users = Users(store, clock)
        self.members = Members(store)
        self.invites = Invites(store, self.users, ring, clock)
        self.policies = Policies(store, clock)
        self.signing = SigningKeys(store, ring, settings, clock)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who does an operation, with what.

    Attributes:
        services: within the operation's own unit of work.
        actor: the caller, with the permissions that it has in the place that the operation is for.
        if_match: the entity tag that the caller saw last.
        password_hash: of the password among the arguments, where there is one.
    """

    services: Services
    actor: Actor
    if_match: str | None = None
    password_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What an operation answers: a JSON object, and the entity tag of what it shows."""

    body: Json
    etag: str | None = None


Run: TypeAlias = Callable[[Visit, Any], Awaitable[Shown]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        name: `resource.action`.
        permission: what the caller must be permitted.
        arguments: what it takes; an `InProject` is done in that project, all else in the
            organization.
        run: does it.
        changes: whether it changes anything.
        target: the argument that names what policies are asked about.
        platform: whether it concerns all organizations, so that only the first one may do it.
    """

    name: str
    permission: Permission
    arguments: type[Arguments]
    run: Run
    changes: bool = False
    target: str = ""
    platform: bool = False

    def project(self, arguments: Arguments) -> ProjectId | None:
        """The project that it is done in."""
        return arguments.project_id if isinstance(arguments, InProject) else None


def decode(kind: type[Arguments], data: bytes) -> Any:
    """Arguments from JSON. Raises `InvalidRequest` where they do not fit."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # The faces check fields one by one; what fails here came by another way.
        raise InvalidRequest(
            Refusal.INVALID_VALUE, "The arguments do not fit the operation."
        ) from None


def shown(body: Json, record: object = None) -> Shown:
    """A body with the entity tag of its record, or of itself where it is made of several."""
    return Shown(body, etag(body if record is None else record))


def listed(page: Page[Any], show: Callable[[Any], Json]) -> Shown:
    """OpenAI's list."""
    data = [show(item) for item in page.items]
    return Shown(
        {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": page.more,
        }
    )


def deleted(what: str, record_id: str) -> Shown:
    """OpenAI's note about what is gone."""
    return Shown({"object": f"{what}.deleted", "id": record_id, "deleted": True})


def seconds(at: float | None) -> int | None:
    """A time as OpenAI writes it: whole epoch seconds."""
    return None if at is None else int(at)
