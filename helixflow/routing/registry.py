"""The registry of models: the Router's original, and the copy that each Ingress resolves from.

Failure behavior: while Router is away an Ingress keeps the last copy, whatever its age, because a
model that runs goes on running without Router. An Ingress that never had a copy refuses with
`registry_unavailable`.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from helixflow.errors import NotFound, Refusal, Unavailable
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.principal import Principal
from helixflow.routing.ports import ModelState, ModelStatus

EntryWire: TypeAlias = tuple[str, str, str, float, int]
SnapshotWire: TypeAlias = tuple[int, str, int, int, tuple[EntryWire, ...]]

_VERSION = 1
_PENDING = ModelStatus(ModelState.PENDING)


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that is configured, and its state."""

    spec: ModelSpec
    status: ModelStatus


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole registry at one revision.

    Attributes:
        epoch: the Router process that counted the revision; revisions of two epochs do not compare.
        revision: raised by every change of a model or of its state.
        created: epoch seconds at which this Router took up the registry.
        entries: the models, in the configuration's order.
    """

    epoch: str
    revision: int
    created: int
    entries: tuple[Entry, ...]

    def to_wire(self) -> SnapshotWire:
        entries = tuple(
            (
                entry.spec.to_json(),
                entry.status.state.value,
                entry.status.detail,
                entry.status.progress,
                entry.status.replicas,
            )
            for entry in self.entries
        )
        return (_VERSION, self.epoch, self.revision, self.created, entries)

    @staticmethod
    def from_wire(wire: SnapshotWire) -> Snapshot:
        _, epoch, revision, created, entries = wire
        return Snapshot(
            epoch,
            revision,
            created,
            tuple(
                Entry(
                    ModelSpec.from_json(spec),
                    ModelStatus(ModelState(state), detail, progress, replicas),
                )
                for spec, state, detail, progress, replicas in entries
            ),
        )


class Registry:
    """The original, in the Router. Every method but `wait` is synchronous."""

    def __init__(self, epoch: str, created: int, specs: Sequence[ModelSpec]) -> None:
        entries = tuple(Entry(spec, _PENDING) for spec in specs)
        self._snapshot = Snapshot(epoch, 1, created, entries)
        self._changed = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        return tuple(entry.spec for entry in self._snapshot.entries)

    def update(self, statuses: Mapping[str, ModelStatus]) -> bool:
        """Take over the models' states; True where that changed anything."""
        old = self._snapshot
        entries = tuple(
            Entry(entry.spec, statuses.get(entry.spec.name, _PENDING)) for entry in old.entries
        )
        if entries == old.entries:
            return False
        self._snapshot = Snapshot(old.epoch, old.revision + 1, old.created, entries)
        self._changed.set()
        self._changed = asyncio.Event()
        return True

    async def wait(self, epoch: str, revision: int, wait_s: float) -> Snapshot | None:
        """The snapshot as soon as it differs from the named one; None after `wait_s` seconds."""
        if (epoch, revision) == (self._snapshot.epoch, self._snapshot.revision):
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                return None
        return self._snapshot


class Catalog:
    """The copy, in an Ingress. `resolve` is on the path of every request."""

    def __init__(self, loading_retry_after_s: float) -> None:
        self._retry_after_s = loading_retry_after_s
        self._snapshot: Snapshot | None = None
        self._by_name: dict[str, Entry] = {}

    @property
    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def replace(self, snapshot: Snapshot) -> None:
        """Take over a newer copy."""
        self._snapshot = snapshot
        self._by_name = {
            name: entry
            for entry in snapshot.entries
            for name in (*entry.spec.aliases, entry.spec.name)
        }

    def entry(self, name: str) -> Entry | None:
        """The model of that name or alias, whoever asks."""
        return self._by_name.get(name)

    def visible(self, principal: Principal) -> list[Entry]:
        """The models that exist for this caller, in the configuration's order."""
        entries = () if self._snapshot is None else self._snapshot.entries
        return [entry for entry in entries if principal.may_see(entry.spec.name)]

    def resolve(self, name: str, principal: Principal) -> Entry:
        """The model of that name or alias, ready to be asked.

        Raises NotFound where there is none that this caller may see, naming the nearest one, and
        Unavailable while it is loading, after it failed, or before any copy was received.
        """
        entry = self.find(name, principal)
        status = entry.status
        if status.state is ModelState.READY:
            return entry
        if status.state is ModelState.FAILED:
            raise Unavailable(
                Refusal.MODEL_FAILED,
                f"The model {name!r} could not be loaded: {status.detail}",
                param="model",
            )
        doing = status.detail or status.state.value
        raise Unavailable(
            Refusal.MODEL_LOADING,
            f"The model {name!r} is not ready yet ({doing}, {status.progress:.0%}).",
            param="model",
            retry_after_s=self._retry_after_s,
        )

    def find(self, name: str, principal: Principal) -> Entry:
        """The model of that name or alias in whatever state. Raises as `resolve` does."""
        entry = self._by_name.get(name)
        if entry is not None and principal.may_see(entry.spec.name):
            return entry
        if self._snapshot is None:
            raise Unavailable(
                Refusal.REGISTRY_UNAVAILABLE,
                "The model registry has not been received yet.",
                retry_after_s=self._retry_after_s,
            )
        known = [
            known for known, entry in self._by_name.items() if principal.may_see(entry.spec.name)
        ]
        close = difflib.get_close_matches(name[:256], known, n=1, cutoff=0.3)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise NotFound(
            Refusal.MODEL_NOT_FOUND,
            f"The model {name[:256]!r} does not exist.{hint}",
            param="model",
        )
