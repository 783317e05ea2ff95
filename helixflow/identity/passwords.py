"""What a password must be."""

from __future__ import annotations

from helixflow.crypto.passwords import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN
from helixflow.crypto.secret import Secret
from helixflow.errors import InvalidRequest, Refusal


def checked(password: Secret) -> Secret:
    """The password, if its length will do (NIST SP 800-63B, 3.1.1.2: length, no other rules)."""
    if not PASSWORD_LENGTH_MIN <= len(password.reveal()) <= PASSWORD_LENGTH_MAX:
        raise InvalidRequest(
            Refusal.INVALID_VALUE,
            f"It must have {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.",
            param="password",
        )
    return password
