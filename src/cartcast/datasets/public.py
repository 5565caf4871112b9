"""Public data sets by name: found in CARTCAST_DATA, else downloaded once, checked by hash.

Licences and citations are part of each entry, since they bind anyone who publishes figures.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import urllib.request
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cartcast.atomic import write_bytes
from cartcast.errors import NotFoundError, NotTrustedError, UsageError, did_you_mean
from cartcast.progress import Progress

__all__ = ["DATASETS", "Dataset", "cache_folder", "content_hash", "fetch"]

_CHUNK = 1 << 18
_LONGEST = 1 << 28  # bytes; all data sets here are far smaller


@dataclass(frozen=True)
class Dataset:
    """One public data set.

    Attributes:
        name: what `cartcast fetch` calls it.
        title, licence, citation: what it is, on which terms, and whom to name.
        url: where it comes from; its answer is `file`, or an archive that holds `member`.
        file: path below CARTCAST_DATA or the cache.
        sha256: hash of the content (see `content_hash`).
        member: name within the downloaded zip archive, or "" when the download is the file.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    file: str
    sha256: str
    member: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        Dataset(
            name="eshop-2008",
            title="Clicks in an online shop for maternity clothes, April to August 2008",
            licence="CC BY 4.0",
            citation="Łapczyński and Białowąs (2013), archive.ics.uci.edu/dataset/553",
            url="https://archive.ics.uci.edu/static/public/553/"
            "clickstream+data+for+online+shopping.zip",
            file="eshop_clothing_2008/clickstream_data_for_online_shopping.zip",
            sha256="de43f67460aeb49fd879cb7db3d7d654a5f83e8d6ec466820573ef8a6255a7c6",
        ),
        Dataset(
            name="shoppers",
            title="Online shoppers' purchasing intention: 12,330 sessions as a ready table",
            licence="CC BY 4.0",
            citation="Sakar and Kastro (2018), archive.ics.uci.edu/dataset/468",
            url="https://archive.ics.uci.edu/static/public/468/"
            "online+shoppers+purchasing+intention+dataset.zip",
            file="uci_online_shoppers/online_shoppers_intention.csv",
            sha256="d8e130ba51532985f93281a73ce299e6ce150cb915769a7962a11e595eadd6a1",
            member="online_shoppers_intention.csv",
        ),
        Dataset(
            name="hillstrom",
            title="MineThatData e-mail challenge: a randomised test with 64,000 customers",
            licence="published for free use, no formal licence: not redistributed",
            citation="Hillstrom (2008), blog.minethatdata.com",
            url="https://raw.githubusercontent.com/carlosquintanillaa/Datasets/"
            "86100ca06e114803df9b691b3fe904cc36c350ea/hillstrom.csv",
            file="hillstrom_email/hillstrom.csv.gz",
            sha256="27bab8c5d3669f26ec08ebb50a0a78317542f29501156f2e2af6781fab4cd7e2",
        ),
    )
}
"""Every data set that Cartcast can fetch, by name."""


def cache_folder() -> Path:
    """Return the folder of downloads: CARTCAST_CACHE, else the user's cache folder."""
    if chosen := os.environ.get("CARTCAST_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartcast"


def content_hash(name: str, data: bytes) -> str:
    r"""Return the SHA-256 of what a file says: unpacked if .gz, text with line ends made `\n`.

    Copies of a table differ in packing and line ends; an archive (.zip) is hashed as it is.

    >>> content_hash("a.csv", b"x\r\n1") == content_hash("b.csv", b"x\n1\n")
    True
    """
    if name.endswith(".zip"):
        return hashlib.sha256(data).hexdigest()
    if name.endswith(".gz") and data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return hashlib.sha256(data.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n").hexdigest()


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Return the path of a public data set: from CARTCAST_DATA, the cache, or its source.

    Raises:
        UsageError: there is no data set of that name.
        NotFoundError: it is not here and cannot be downloaded.
        NotTrustedError: what was found or downloaded has another hash.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}.{did_you_mean(name, DATASETS)}")
    dataset = DATASETS[name]
    folders = [cache_folder()]
    if own := os.environ.get("CARTCAST_DATA"):
        folders.insert(0, Path(own))
    for folder in folders:
        path = folder / dataset.file
        if path.is_file():
            _trust(dataset, path.read_bytes(), str(path), f"Remove {path} and fetch it again.")
            return path
    data = _member(dataset, _download(dataset, progress))
    _trust(dataset, data, dataset.url, "Nothing was kept; its source has changed.")
    path = cache_folder() / dataset.file
    if path.suffix == ".gz" and data[:2] != b"\x1f\x8b":
        data = gzip.compress(data, mtime=0)
    write_bytes(path, data)
    return path


def _trust(dataset: Dataset, data: bytes, where: str, advice: str) -> None:
    try:
        found = content_hash(dataset.file, data)
    except (OSError, EOFError, zlib.error) as error:
        raise NotTrustedError(f"{where}: damaged gzip file ({error}). {advice}") from error
    if found != dataset.sha256:
        raise NotTrustedError(
            f"{where}: sha256 must be {dataset.sha256[:16]}..., got {found[:16]}... {advice}"
        )


def _download(dataset: Dataset, progress: Progress | None) -> bytes:
    advice = f"Fetch it by hand and put it at {cache_folder() / dataset.file}."
    data = bytearray()
    try:
        # The addresses are constants of this module.
        with urllib.request.urlopen(dataset.url, timeout=30) as answer:  # noqa: S310
            size = int(answer.headers.get("Content-Length") or 0)
            while part := answer.read(_CHUNK):
                data += part
                if len(data) > _LONGEST:
                    raise NotTrustedError(f"{dataset.url}: longer than {_LONGEST} bytes. {advice}")
                if progress is not None:
                    progress(f"fetching {dataset.name}", len(data) / size if size else None)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise NotFoundError(f"{dataset.url}: cannot be fetched ({reason}). {advice}") from error
    return bytes(data)


def _member(dataset: Dataset, data: bytes) -> bytes:
    if not dataset.member:
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(dataset.member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise NotTrustedError(
            f"{dataset.url}: must be a zip archive that holds {dataset.member} ({error})."
        ) from error
