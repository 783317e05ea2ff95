"""Identity without a database or an Auth: stores, authorities, and the checks that all must pass."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from helixflow.errors import Refusal, Unauthenticated, Unavailable
from helixflow.identity.bootstrap import to_store
from helixflow.identity.keys import KeyKind, NewKey, digest, mint
from helixflow.identity.permissions import INFERENCE
from helixflow.identity.policy_texts import policy_set
from helixflow.identity.ports import Found, PolicySet, StoredKey, Verdict
from helixflow.ids import (
    KeyId,
    OrganizationId,
    ProjectId,
    mint_key_id,
    mint_organization_id,
    mint_project_id,
)
from helixflow.inference.principal import Principal

PEPPER = b"pepper for tests, thirty-two long"
EPOCH = 1_700_000_000.0


class MemoryKeyStore:
    """`KeyStore` in a dictionary. `away` makes every call raise, as a lost database does."""

    def __init__(self) -> None:
        self.keys: dict[KeyId, StoredKey] = {}
        self.disabled: set[KeyId] = set()
        self.raised = 0
        self.away = False

    def put(self, key: StoredKey) -> None:
        """Add or replace a key."""
        self.keys[key.id] = key
        self.raised += 1

    async def find(self, mac: bytes) -> Found:
        """See `KeyStore.find`."""
        self._reach()
        found = next((key for key in self.keys.values() if key.mac == mac), None)
        disabled = found is not None and found.id in self.disabled
        return Found(found, self.raised, disabled)

    async def revision(self) -> int:
        """See `KeyStore.revision`."""
        self._reach()
        return self.raised

    async def touch(self, used: Mapping[KeyId, float]) -> None:
        """See `KeyStore.touch`."""
        self._reach()
        for key, at in used.items():
            if key in self.keys:
                before = self.keys[key].last_used_at or 0.0
                self.keys[key] = replace(self.keys[key], last_used_at=max(at, before))

    def _reach(self) -> None:
        if self.away:
            raise Unavailable(Refusal.AUTH_UNAVAILABLE, "The store is away.", retry_after_s=1.0)


class StaticAuthority:
    """`Authority` that knows a fixed set of keys, by their digests."""

    def __init__(self) -> None:
        self._principals: dict[bytes, Principal] = {}
        self.raised = 1
        self.asked = 0
        self.away = False

    def admit(self, principal: Principal | None = None) -> str:
        """Make a key known; returns its text."""
        made = mint(KeyKind.PROJECT)
        self._principals[made.digest] = principal or some_principal()
        return made.secret.reveal()

    def revoke(self, text: str) -> None:
        """Forget a key, and raise the revision."""
        del self._principals[digest(text)]
        self.raised += 1

    async def verify(self, digest: bytes) -> Verdict:
        """See `Authority.verify`."""
        self._reach()
        self.asked += 1
        principal = self._principals.get(digest)
        refused = None
        if principal is None:
            refused = Unauthenticated(Refusal.INVALID_API_KEY, "Incorrect API key provided.")
        return Verdict(principal, refused, self.raised)

    async def revision(self) -> int:
        """See `Authority.revision`."""
        self._reach()
        return self.raised

    def _reach(self) -> None:
        if self.away:
            raise Unavailable(Refusal.AUTH_UNAVAILABLE, "Auth is away.", retry_after_s=1.0)


class StaticPolicies:
    """`PolicySource` with texts by project. `away` makes every call raise."""

    def __init__(self) -> None:
        self.texts: dict[ProjectId, dict[str, str]] = {}
        self.asked = 0
        self.away = False

    def put(self, principal: Principal, **texts: str) -> Principal:
        """Let policies hold in a caller's project; returns the caller under them."""
        self.texts[principal.project] = texts
        return replace(principal, policies=policy_set(texts).fingerprint)

    async def policies(self, organization: OrganizationId, project: ProjectId) -> PolicySet:
        """See `PolicySource.policies`."""
        self.asked += 1
        if self.away:
            raise Unavailable(Refusal.AUTH_UNAVAILABLE, "Auth is away.", retry_after_s=1.0)
        return policy_set(self.texts.get(project, {}))


class HeldAuthority:
    """`Authority` whose answers the test gives out one by one, in the order of the questions."""

    def __init__(self) -> None:
        self.questions: deque[tuple[bytes, asyncio.Future[Verdict]]] = deque()
        self.polls: deque[asyncio.Future[int]] = deque()

    async def verify(self, digest: bytes) -> Verdict:
        """See `Authority.verify`; waits for the test."""
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.questions.append((digest, answer))
        return await answer

    async def revision(self) -> int:
        """See `Authority.revision`; waits for the test."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.polls.append(answer)
        return await answer


def some_principal(
    organization: OrganizationId | None = None,
    project: ProjectId | None = None,
    permissions: frozenset[str] = INFERENCE,
    models: frozenset[str] | None = None,
) -> Principal:
    """A caller; tenants are fresh where none are given."""
    return Principal(
        organization or mint_organization_id(),
        project or mint_project_id(),
        mint_key_id(),
        "a test's key",
        permissions,
        models,
    )


def some_key(
    organization: OrganizationId, project: ProjectId, made: NewKey, now: float = EPOCH
) -> StoredKey:
    """What is stored of a minted key, under the test pepper."""
    return to_store(made, PEPPER, organization, project, "a test's key", now)
