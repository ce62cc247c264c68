"""Passwords: argon2id, with the same work whether or not the account exists."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10
#: Beyond any passphrase; a bound, so that nobody makes the api hash megabytes.
LONGEST = 256

#: OWASP's recommendation for argon2id (Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane).
#: The memory counts per request that logs in, so the library's default of 64 MiB is not for a
#: small pod with many threads.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

#: The hash of a random password that nobody knows, made with the parameters above. Accounts
#: without a password have it, and verifying takes as long as for any other.
NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$"
    "1JNGQU9+upP/UPpTsNV+zg$aDNe4SeblaWs/w8e2aEVOj4aD9LCXZ4xBl950372Jhg"
)


def hash_password(password: str) -> str:
    """The hash to store."""
    return _hasher.hash(password)


def verify(password: str, stored: str | None) -> bool:
    """Whether the password is the one; for ``stored`` None (no such account) False, as slowly."""
    try:
        _hasher.verify(stored or NOBODYS, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)
