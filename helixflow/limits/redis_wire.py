"""What goes to the Lua scripts of the Redis store and comes back: keys, MessagePack, grants.

All keys of an organization carry its hash tag, `hx:{org_...}:`, so that one call touches one slot
of a cluster. Holders are listed under a tag of their own. Every key has a time to live.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, TypeAlias

import msgspec

from helixflow.ids import OrganizationId
from helixflow.limits.ports import Ask, CounterId, Grant
from helixflow.limits.sizing import FAR, SHARE, Lives
from helixflow.limits.window import SLOTS, WINDOW_S

Command: TypeAlias = tuple[str | bytes | int | float, ...]

_LIST = "hx:{helixflow}:"
HOLDERS = _LIST + "holders"
PROBE = _LIST + "probe"


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, and the digest by which a server knows it."""

    text: str
    sha: str

    @staticmethod
    def load(*names: str) -> Script:
        """The files of these names in `lua/`, one after the other."""
        folder = resources.files(__package__) / "lua"
        text = "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
        return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def call(self, keys: Sequence[str], *arguments: str | bytes | float) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


SETTLE = Script.load("counter", "settle")
GRANT = Script.load("counter", "grant")
KNOW = Script.load("know")
SIGN = Script.load("sign")
RECALL = Script.load("recall")
SILENT = Script.load("silent")
DROP = Script.load("drop")
BURY = Script.load("bury")

SCRIPTS = {one.sha: one.text for one in (SETTLE, GRANT, KNOW, SIGN, RECALL, SILENT, DROP, BURY)}


def organizations_key(holder: str) -> str:
    """Where the organizations are listed in which a holder may have levels."""
    return f"{_LIST}organizations:{holder}"


def recalled_key(holder: str) -> str:
    """Where the keys of the counters are listed of which a holder is to bring something back."""
    return f"{_LIST}recalled:{holder}"


def levels_key(organization: str, holder: str) -> str:
    """Where the counters of an organization are listed in which a holder has a level."""
    return f"hx:{{{organization}}}:levels:{holder}"


def marker_key(organization: str) -> str:
    """What is known of an organization's data as a whole."""
    return f"hx:{{{organization}}}:marker"


def counter_key(counter: CounterId) -> str:
    """Where a counter is kept."""
    return f"hx:{{{counter.organization}}}:counter:{counter.name}:{counter.scope}"


def counter_of(key: bytes) -> CounterId:
    """The counter that is kept at a key."""
    place, _, rest = key.decode().partition(":counter:")
    name, _, scope = rest.partition(":")
    return CounterId(OrganizationId(place.removeprefix("hx:{").removesuffix("}")), name, scope)


def slot_s(counter: CounterId) -> float:
    """How long a slot of the counter's window is; 0 for levels."""
    return WINDOW_S.get(counter.name, 0.0) / SLOTS


@dataclass(frozen=True, slots=True)
class Seen:
    """What this process saw last of an organization's data: which it was, and its time."""

    generation: str = ""
    at: float = 0.0


@dataclass(slots=True)
class Call:
    """The groups of one exchange that belong to one organization.

    Attributes:
        places: which groups of the exchange they are.
        counters: those of the asks, each once.
    """

    organization: OrganizationId
    places: list[int] = field(default_factory=list)
    groups: list[Sequence[Ask]] = field(default_factory=list)
    counters: dict[CounterId, int] = field(default_factory=dict)

    def add(self, place: int, group: Sequence[Ask]) -> None:
        self.places.append(place)
        self.groups.append(group)
        for ask in group:
            self.counters.setdefault(ask.counter, len(self.counters) + 1)

    @property
    def has_levels(self) -> bool:
        """Whether the holder may come to have levels by it."""
        return any(ask.used or ask.want for asks in self.groups for ask in asks if _is_level(ask))

    def command(self, words: Words, seen: Seen) -> Command:
        """What does it."""
        tag = f"hx:{{{self.organization}}}:"
        holder = words.holder
        keys = [
            marker_key(self.organization),
            f"{tag}holder:{holder}",
            f"{tag}ended:{holder}:0",
            f"{tag}ended:{holder}:1",
            levels_key(self.organization, holder),
            *(counter_key(counter) for counter in self.counters),
        ]
        asks = [[self._ask(ask) for ask in group] for group in self.groups]
        slots = [slot_s(counter) for counter in self.counters]
        told = (
            words.offset_s,
            holder,
            words.number,
            words.acked,
            seen.generation,
            seen.at,
            words.generation,
            words.sizing,
            slots,
            asks,
        )
        only_ends = not any(
            ask.lease or ask.renews or _is_level(ask) for group in self.groups for ask in group
        )
        return (SETTLE if only_ends else GRANT).call(keys, _encode(told))

    def _ask(self, ask: Ask) -> tuple[Any, ...]:
        ends = [word for end in ask.ends for word in (end.lease, end.spent, end.last)]
        place = self.counters[ask.counter]
        return (
            place,
            ask.limit,
            ask.lease,
            ask.need,
            ask.want,
            ask.used,
            ask.life_s,
            ends,
            ask.waiting,
            ask.renews,
        )

    def nothing(self) -> list[tuple[Grant, ...]]:
        """The answer to an exchange that was passed over."""
        return [(Grant(0, 0.0, 0, 0.0),) * len(group) for group in self.groups]


@dataclass(frozen=True, slots=True)
class Words:
    """What all calls of one exchange say.

    Attributes:
        offset_s: what is added to the server's clock.
        generation: what data is called that begins with it.
    """

    offset_s: float
    holder: str
    number: int
    acked: int
    generation: str
    sizing: tuple[float, ...]


def sizing(lives: Lives) -> tuple[float, ...]:
    """The rules of sizing.py as numbers."""
    return (SHARE, FAR, lives.near_s, lives.far_s, lives.margin_s, lives.recall_s)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call told.

    Attributes:
        wanted: counters whose past is wanted, because it was lost at `lost_at`.
        grants: for each of its groups.
        recalls: counters of which something was refused, and who else has something of them.
    """

    seen: Seen
    lost_at: float
    wanted: list[CounterId]
    grants: list[tuple[Grant, ...]]
    recalls: list[tuple[CounterId, str]]


def read(call: Call, reply: bytes) -> Reply:
    """The answer to a call that was not passed over."""
    generation, now, lost_at, wanted, grants, recalls = _decode(reply)
    counters = list(call.counters)
    return Reply(
        Seen(generation, now),
        lost_at,
        [counters[place - 1] for place in wanted],
        [tuple(Grant(*grant) for grant in group) for group in grants],
        [(counters[place - 1], holder) for place, holder in recalls],
    )


def by_organization(groups: Sequence[Sequence[Ask]]) -> list[Call]:
    """The calls of an exchange; groups without asks are in none."""
    calls: dict[OrganizationId, Call] = {}
    for place, group in enumerate(groups):
        if group:
            organization = group[0].counter.organization
            calls.setdefault(organization, Call(organization)).add(place, group)
    return list(calls.values())


def recall(holder: str, members: Sequence[str]) -> Command:
    """Let a holder be told of counters (their keys) in its next exchange."""
    return RECALL.call([recalled_key(holder)], *members)


def know(
    counter: CounterId, lost_at: float, uses: Sequence[tuple[float, int]], offset_s: float
) -> Command:
    """Tell what a counter used in the past: pairs of age in seconds and amount."""
    width_s = slot_s(counter)
    ages: dict[int, float] = {}
    amounts: dict[int, int] = {}
    for age_s, amount in uses:
        place = int(max(0.0, age_s) // width_s)
        ages[place] = min(age_s, ages.get(place, age_s))
        amounts[place] = amounts.get(place, 0) + amount
    told = [word for place in ages for word in (ages[place], amounts[place])]
    keys = [marker_key(counter.organization), counter_key(counter)]
    return KNOW.call(keys, _encode((offset_s, width_s, lost_at, told)))


def _is_level(ask: Ask) -> bool:
    return ask.counter.name not in WINDOW_S


_encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode
