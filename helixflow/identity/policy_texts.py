"""The policies in force, as Auth tells them: texts and their fingerprint.

A verdict carries the fingerprint of the policies that hold for its caller, decided at the verdict's
own revision or a later one; so whatever drops the verdict drops the policies with it, and a change
elsewhere leaves an Ingress's compiled sets as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict

from helixflow.identity.policies import Policies
from helixflow.identity.ports import PolicySet
from helixflow.ids import OrganizationId, ProjectId

_KEPT_MAX = 1024


class PolicyTexts:
    """Reads policies, and keeps what it read until the identity revision passes it."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._kept: OrderedDict[tuple[str, str], tuple[int, PolicySet]] = OrderedDict()

    async def of(
        self, organization: OrganizationId, project: ProjectId, revision: int
    ) -> PolicySet:
        """What is in force in a project at this revision or a later one."""
        place = (organization, project)
        kept = self._kept.get(place)
        if kept is not None and kept[0] >= revision:
            self._kept.move_to_end(place)
            return kept[1]
        return await self.fresh(organization, project)

    async def fresh(self, organization: OrganizationId, project: ProjectId) -> PolicySet:
        """What is in force in a project by now."""
        place = (organization, project)
        at, texts = await self._policies.sources(organization, project)
        found = policy_set(texts)
        self._kept[place] = (at, found)
        while len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return found

    def forget(self) -> None:
        """The store went back to an older state: what was read may never have been."""
        self._kept.clear()


def policy_set(texts: dict[str, str]) -> PolicySet:
    """Policies by their ids, with the fingerprint of all of them."""
    if not texts:
        return PolicySet()
    listed = tuple(sorted(texts.items()))
    data = json.dumps(listed, ensure_ascii=True).encode()
    return PolicySet(hashlib.sha256(data).hexdigest()[:32], listed)
