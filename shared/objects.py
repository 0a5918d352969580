"""The object store: a folder, S3, GCS or Azure by its URL (obstore). What lies there is sealed before it comes here."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import ObjectStore, from_url


def open_store(url: str) -> ObjectStore:
    """`file:///folder` (made if it is missing), `s3://bucket/prefix`, `gs://…`, `az://…`; credentials as obstore reads
    them from the environment. Raises what obstore raises for a URL it does not know."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        Path(unquote(parts.path)).mkdir(parents=True, exist_ok=True, mode=0o700)
    return from_url(url)
