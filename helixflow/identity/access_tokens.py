"""Access tokens: JWTs (RFC 7519) signed with RS256, as RFC 9068 shapes them.

What a token's own header says is believed in one thing only: which of our keys to try. The
algorithm is fixed; `jku`, `jwk`, `x5u` and `x5c` are never looked at, and `crit` is refused.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from jwt.types import Options

from helixflow.errors import HelixFlowError
from helixflow.identity.signing_keys import ALGORITHM, Signer
from helixflow.settings import TokenSettings

TOKEN_LENGTH_MAX = 8192
_KID_LENGTH_MAX = 256
_TEXT_MAX = 512
_EACH_ITS_OWN = frozenset({"exp", "iat", "jti", "nbf"})
_WORDS_MAX = 64
_WORD_LENGTH_MAX = 256
# Times are checked below, against the clock that is given: time is an argument here.
_OPTIONS = Options(
    verify_signature=True, verify_exp=False, verify_nbf=False, verify_iat=False, verify_aud=False,
    verify_iss=False, verify_sub=False, verify_jti=False,
)  # fmt: skip


class TokenRefused(HelixFlowError):
    """A token that is not accepted; the message is for our log, never for the caller."""

    def __init__(self, why: str, *, expired: bool = False) -> None:
        super().__init__(why)
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Attributes:
        issuer, subject, id: `iss`, `sub`, `jti`.
        expires_at, issued_at: epoch seconds.
        organization, project, key, family: ours; empty where the token does not have them.
        scopes: the permissions that it asks for.
        all: everything, for claim mapping and policies.
    """

    issuer: str
    subject: str
    id: str
    expires_at: float
    issued_at: float
    organization: str
    project: str
    key: str
    family: str
    scopes: frozenset[str]
    all: Mapping[str, Any]


def words(claims: Mapping[str, Any]) -> frozenset[str]:
    """What policies may compare: `name=value` for texts, numbers, truths and lists of texts.

    Bounded; what differs in every token (`jti` and the times) is left out.
    """
    found: list[str] = []
    for name, value in sorted(claims.items()):
        if name in _EACH_ITS_OWN:
            continue
        for one in value[:_WORDS_MAX] if isinstance(value, list) else [value]:
            if isinstance(one, bool | int | str):
                text = str(one).lower() if isinstance(one, bool) else str(one)
                found.append(f"{name}={text}")
    return frozenset([word for word in found if len(word) <= _WORD_LENGTH_MAX][:_WORDS_MAX])


def looks_like_token(text: str) -> bool:
    """Whether a credential is worth parsing as a JWT."""
    return text.startswith("ey") and text.count(".") == 2 and len(text) <= TOKEN_LENGTH_MAX


def mint_token_id() -> str:
    """A fresh `jti`."""
    return "jti_" + secrets.token_hex(16)


def sign(signer: Signer, claims: Mapping[str, Any], settings: TokenSettings, now: float) -> str:
    """A token with these claims, with `iss`, `aud`, `iat` and `exp` of ours, and with a fresh `jti`
    where they have none."""
    whole = {
        "jti": mint_token_id(),
        **claims,
        "iss": settings.issuer,
        "aud": settings.audience,
        "iat": int(now),
        "exp": int(now + settings.access_s),
    }
    headers = {"kid": signer.kid, "typ": "at+jwt"}
    return jwt.encode(whole, signer.key, ALGORITHM, headers)


def issuer_of(token: str) -> str:
    """Who a token claims to be from; not verified, only for choosing whose keys to try."""
    try:
        claims = jwt.decode(token, options=Options(verify_signature=False, verify_exp=False))
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused("not a token") from None
    return _text(claims, "iss")


def kid_of(token: str) -> str:
    """Which key a token claims to be signed with; not verified."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused("not a token") from None
    return _text(header, "kid")


def verify(
    token: str,
    keys: Iterable[Mapping[str, Any]],
    issuer: str,
    audience: str,
    leeway_s: float,
    now: float,
) -> Claims:
    """The claims of a token that one of these JWKs signed. Raises `TokenRefused`."""
    if not looks_like_token(token):
        raise TokenRefused("not a token")
    try:
        header = jwt.get_unverified_header(token)
        key = _key(header, keys)
        claims = jwt.decode(token, key, algorithms=[ALGORITHM], options=_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused("the signature or the form is wrong") from None
    if _text(claims, "iss") != issuer:
        raise TokenRefused("another issuer")
    audiences = claims.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise TokenRefused("another audience")
    return _checked(claims, leeway_s, now)


def _checked(claims: Mapping[str, Any], leeway_s: float, now: float) -> Claims:
    expires_at, issued_at = _time(claims, "exp"), _time(claims, "iat")
    not_before = _time(claims, "nbf") if "nbf" in claims else issued_at
    if expires_at + leeway_s <= now:
        raise TokenRefused("expired", expired=True)
    if max(issued_at, not_before) - leeway_s > now:
        raise TokenRefused("not valid yet")
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise TokenRefused("scope is not text")
    return Claims(
        issuer=_text(claims, "iss"),
        subject=_text(claims, "sub"),
        id=_text(claims, "jti", ""),
        expires_at=expires_at,
        issued_at=issued_at,
        organization=_text(claims, "org", ""),
        project=_text(claims, "project", ""),
        key=_text(claims, "key", ""),
        family=_text(claims, "family", ""),
        scopes=frozenset(scope.split()),
        all=claims,
    )


def _key(header: Mapping[str, Any], keys: Iterable[Mapping[str, Any]]) -> Any:
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or "crit" in header:
        raise TokenRefused("another algorithm")
    if not isinstance(kid, str) or len(kid) > _KID_LENGTH_MAX:
        raise TokenRefused("no key id")
    for jwk in keys:
        if jwk.get("kid") == kid and jwk.get("kty") == "RSA" and jwk.get("use", "sig") == "sig":
            return _public_key(json.dumps(jwk, sort_keys=True))
    raise TokenRefused("an unknown key")


@lru_cache(maxsize=64)
def _public_key(jwk: str) -> Any:
    return jwt.PyJWK(json.loads(jwk), ALGORITHM).key


def _text(claims: Mapping[str, Any], name: str, missing: str | None = None) -> str:
    value = claims.get(name, missing)
    if not isinstance(value, str) or len(value) > _TEXT_MAX or not value.isprintable():
        raise TokenRefused(f"{name} is missing or malformed")
    return value


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise TokenRefused(f"{name} is missing or malformed")
    return float(value)
