from __future__ import annotations

import pytest

from helixflow.crypto.master_key import MasterKey
from helixflow.errors import ConfigError
from helixflow.identity.authority import KeyAuthority
from helixflow.identity.bootstrap import ensure_bootstrap, mint_project_key
from helixflow.identity.keys import PEPPER_PURPOSE, digest
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock

RING = MasterKey(b"m" * 32)


async def test_the_first_start_gives_a_key_and_the_second_none(stores: Stores) -> None:
    clock = ManualClock()
    secret = await ensure_bootstrap(stores.units, RING, clock)
    assert secret is not None
    authority = KeyAuthority(stores.keys, RING.derive(PEPPER_PURPOSE), clock)
    assert (await authority.verify(digest(secret.reveal()))).principal is not None
    assert await ensure_bootstrap(stores.units, RING, clock) is None
    assert await stores.keys.revision() == 1


async def test_another_master_key_is_refused(stores: Stores) -> None:
    await ensure_bootstrap(stores.units, RING, ManualClock())
    with pytest.raises(ConfigError, match="another master key"):
        await ensure_bootstrap(stores.units, MasterKey(b"n" * 32), ManualClock())


async def test_another_key_for_the_default_project_can_be_minted(stores: Stores) -> None:
    clock = ManualClock()
    with pytest.raises(ConfigError, match="no installation"):
        await mint_project_key(stores.units, RING, clock)
    first = await ensure_bootstrap(stores.units, RING, clock)
    second = await mint_project_key(stores.units, RING, clock, "spare")
    authority = KeyAuthority(stores.keys, RING.derive(PEPPER_PURPOSE), clock)
    assert first is not None
    one = (await authority.verify(digest(first.reveal()))).principal
    two = (await authority.verify(digest(second.reveal()))).principal
    assert one is not None
    assert two is not None
    assert (one.project, two.name) == (two.project, "spare")
