from __future__ import annotations

from helixflow.identity.ports import Unit
from helixflow.identity.records import Answered, RefreshToken, RevokedToken, SigningKey
from helixflow.storage.database import Database
from helixflow.storage.prepare import Stores
from helixflow.storage.purge import ANSWERS_KEPT_S, SqlPurge
from helixflow.testing.identity import EPOCH
from helixflow.testing.store import add_tenant


async def test_what_has_served_its_time_is_deleted_and_nothing_else(database: Database) -> None:
    stores = Stores(database)
    organization, project = await add_tenant(stores.units)
    org, day = organization.id, 86_400.0

    async def fill(unit: Unit) -> None:
        for name, end in (("old", EPOCH), ("new", EPOCH + 1)):
            await unit.revoked_tokens.add(RevokedToken(name, org, EPOCH, end))
            await unit.refresh_tokens.add(
                RefreshToken(
                    name,
                    org,
                    project.id,
                    name,
                    "user",
                    name[:1].encode() * 32,
                    frozenset(),
                    EPOCH - day,
                    end,
                )
            )
            await unit.signing_keys.add(
                SigningKey(name, "{}", b"", EPOCH, EPOCH - day, EPOCH - 1, end)
            )
            await unit.answered.add(Answered(name, org, b"r" * 32, 200, b"", end - ANSWERS_KEPT_S))

    await stores.units.write(fill)
    purge = SqlPurge(database)
    assert await purge.run(EPOCH) == 4
    assert await purge.run(EPOCH) == 0
    assert await stores.keys.revision() == 0

    async def left(unit: Unit) -> list[str]:
        return [
            *(record.id for record in await unit.revoked_tokens.where(org)),
            *(record.id for record in await unit.refresh_tokens.where(org)),
            *(record.id for record in await unit.signing_keys.where(None)),
            *(record.id for record in await unit.answered.where(org)),
        ]

    assert await stores.units.read(left) == ["new"] * 4
