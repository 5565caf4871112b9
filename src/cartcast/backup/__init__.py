"""Backups of a project in use: taken, kept, verified, restored."""

from cartcast.backup.manifest import FileEntry, LiveEntry, Manifest
from cartcast.backup.restore import Restored, restore
from cartcast.backup.store import Store
from cartcast.backup.take import Backup, back_up, summary
from cartcast.backup.vault import PASSPHRASE_VARIABLE, passphrase_from
from cartcast.backup.verify import Verified, verify

__all__ = [
    "PASSPHRASE_VARIABLE", "Backup", "FileEntry", "LiveEntry", "Manifest", "Restored", "Store",
    "Verified", "back_up", "passphrase_from", "restore", "summary", "verify",
]  # fmt: skip
