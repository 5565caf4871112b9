"""A passphrase's two keys: one names what is kept, one seals it.

scrypt makes a root of the passphrase (RFC 7914, https://doi.org/10.17487/RFC7914), HMAC makes the
two keys of the root. Chunks are sealed with AES-256-GCM under random 96-bit nonces, their name as
the associated data: one chunk cannot stand for another (NIST SP 800-38D,
https://doi.org/10.6028/NIST.SP.800-38D). Names are HMAC-SHA256 of what was sealed, so that
anyone who holds the store cannot tell whether it holds a file that they know.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

from cartcast.errors import NotTrustedError, UsageError

__all__ = ["PASSPHRASE_VARIABLE", "Vault", "passphrase_from"]

PASSPHRASE_VARIABLE = "CARTCAST_BACKUP_PASSPHRASE"  # noqa: S105 - a name, not a secret
"""Environment variable that holds the passphrase; it is read from nowhere else."""
LEAST_CHARACTERS = 16
_NONCE = 12


def passphrase_from(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the passphrase of the environment, None without one.

    Raises:
        UsageError: it is too short.
    """
    told = (os.environ if environment is None else environment).get(PASSPHRASE_VARIABLE, "")
    if told and len(told) < LEAST_CHARACTERS:
        raise UsageError(
            f"{PASSPHRASE_VARIABLE}: must have at least {LEAST_CHARACTERS} characters, got "
            f"{len(told)}."
        )
    return told or None


class Vault:
    """Names and seals chunks with the keys of one passphrase.

    Args:
        passphrase: as the person knows it.
        salt: of the store, 16 random bytes or more.

    Raises:
        UsageError: the library for encryption is not installed.
    """

    def __init__(self, passphrase: str, salt: bytes) -> None:
        root = hashlib.scrypt(
            passphrase.encode(), salt=salt, n=1 << 15, r=8, p=1, maxmem=1 << 26, dklen=32
        )
        self._naming = hmac.digest(root, b"cartcast backup names", "sha256")
        self._cipher = _cipher(hmac.digest(root, b"cartcast backup contents", "sha256"))
        self._root = root

    def check(self, encrypted: bool) -> str:
        """Return what tells the passphrase again, and whether the store is all encrypted.

        Nobody can make later backups lie open by changing the one word in the store.
        """
        word = b"cartcast backup check " + (b"all" if encrypted else b"keys")
        return hmac.digest(self._root, word, "sha256").hex()[:16]

    def name(self, data: bytes) -> str:
        """Return the name of a chunk: 64 hexadecimal digits."""
        return hmac.digest(self._naming, data, "sha256").hex()

    def seal(self, name: str, data: bytes) -> bytes:
        """Return a chunk as it may lie with strangers."""
        nonce = os.urandom(_NONCE)
        return nonce + bytes(self._cipher.encrypt(nonce, data, name.encode()))

    def open(self, name: str, data: bytes) -> bytes:
        """Return what was sealed under `name`.

        Raises:
            NotTrustedError: it was changed, or sealed with another passphrase.
        """
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(self._cipher.decrypt(data[:_NONCE], data[_NONCE:], name.encode()))
        except (InvalidTag, ValueError) as error:
            raise NotTrustedError(f"{name[:12]}: was changed after it was sealed.") from error


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise UsageError(
            "an encrypted backup needs the extra 'backup': pip install 'cartcast[backup]'; without "
            "it leave --encrypt and --keys out."
        ) from error
    return AESGCM(key)
