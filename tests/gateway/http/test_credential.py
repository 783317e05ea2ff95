from __future__ import annotations

import pytest

from helixflow.gateway.http.credential import bearer


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], None),
        ([(b"authorization", b"Bearer key")], "key"),
        ([(b"authorization", b"bearer key")], "key"),
        ([(b"authorization", b"BEARER  key ")], "key"),
        ([(b"authorization", b"Bearer ")], None),
        ([(b"authorization", b"Bearer")], None),
        ([(b"authorization", b"key")], None),
        ([(b"authorization", b"Basic a2V5")], None),
        ([(b"x-api-key", b"Bearer key")], None),
        ([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")], "a"),
        ([(b"authorization", b"Bearer \xff")], "\xff"),
    ],
)
def test_a_credential_is_what_follows_bearer(
    headers: list[tuple[bytes, bytes]], found: str | None
) -> None:
    assert bearer(headers) == found
