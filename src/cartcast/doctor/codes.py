"""Findings of `cartcast doctor`: what is wrong with an installation, and what to do."""

from __future__ import annotations

from cartcast.findings import declare

__all__ = [
    "ALIAS", "BACKUP", "CLOCK", "DATABASE", "DISK", "FORGETTING", "KEY", "LEFTOVER", "LIVE",
    "LOCK", "MODES", "PORT", "RESTORE", "RUN", "SETTINGS", "VERSION",
]  # fmt: skip

SETTINGS = declare(
    "OP101", "block", "The settings cannot be read",
    "Every verb that works in this project stops at them.",
    "Correct the line that the message names.",
)  # fmt: skip
VERSION = declare(
    "OP102", "warn", "A library has a version that Cartcast does not support",
    "This combination is not tested; figures or stored models may differ.",
    "Install the supported versions: pip install -U 'cartcast'.",
)  # fmt: skip
CLOCK = declare(
    "OP103", "warn", "The clock cannot be trusted",
    "Sessions, the expiry of sign-ins and the order of backups depend on it.",
    "Set the clock, and let a time service keep it right.",
)  # fmt: skip
DISK = declare(
    "OP104", "warn", "The disk is nearly full",
    "A live service answers 503 when its log cannot be written; trainings and backups stop.",
    "Free space, or move the project to a larger disk.",
)  # fmt: skip
PORT = declare(
    "OP105", "warn", "A port is taken by another program",
    "The service or the app cannot start on it.",
    "Stop that program, or give --port.",
)  # fmt: skip
MODES = declare(
    "OP106", "warn", "Files of the project are open to others, or not yours",
    "Logs, roles and hashes of keys can be read or changed by other accounts of the machine.",
    "chmod -R go-rwx .cartcast; chown what is not yours.",
)  # fmt: skip
LOCK = declare(
    "OP107", "note", "A lock is held by another program",
    "Verbs that need the lock wait, and then give up.",
    "Nothing, if that program is Cartcast; otherwise stop it.",
)  # fmt: skip
LEFTOVER = declare(
    "OP108", "note", "Work folders of processes that are gone",
    "They take up space, and hold rows of logs that were read.",
    "Remove them: rm -r.",
)  # fmt: skip
RUN = declare(
    "OP109", "warn", "A run is not as it was registered",
    "A model that was changed is not trusted: serving, scoring and promoting it stop.",
    "Restore it from a backup (`cartcast restore`), or train again.",
)  # fmt: skip
ALIAS = declare(
    "OP110", "warn", "An alias points to nothing",
    "Anyone who asks for the champion gets an error.",
    "`cartcast models rollback`, or promote a run that exists.",
)  # fmt: skip
BACKUP = declare(
    "OP111", "warn", "The last backup is older than promised",
    "Everything made since is lost if the disk fails.",
    "Run `cartcast backup`, and find out why the schedule did not.",
)  # fmt: skip
FORGETTING = declare(
    "OP112", "warn", "Forgetting a person was not finished",
    "Some files may still hold the person's data.",
    "Run `cartcast forget --finish`.",
)  # fmt: skip
RESTORE = declare(
    "OP113", "note", "A restore left a state aside",
    "It takes up space, and holds what people did.",
    "Delete it once all is well.",
)  # fmt: skip
KEY = declare(
    "OP114", "warn", "The key of pseudonyms is not set",
    "This project replaces ids; without the key no log can be read and nobody can be forgotten.",
    "Set CARTCAST_PRIVACY_KEY to the key that the logs were made with.",
)  # fmt: skip
LIVE = declare(
    "OP115", "warn", "A live state is damaged, or belongs to another model",
    "The service does not start on it, or has set events aside.",
    "Restore it from a backup, or start with an empty --state-dir.",
)  # fmt: skip
DATABASE = declare(
    "OP116", "warn", "A database of the project is damaged or cannot be reached",
    "The registry, or roles and the audit log, cannot be used.",
    "Restore it from a backup (`cartcast restore`); check the URL and the server of PostgreSQL.",
)  # fmt: skip
