"""The certificates that are trusted: those of the system, and those that the environment names."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import truststore

from pipeline.errors import AccessError

_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_FOLDERS = ("SSL_CERT_DIR",)


def trusting(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return what connections are secured by. Raise AccessError for a file that can't be read."""
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in (*_FILES, *_FOLDERS):
        for place in environ.get(name, "").split(os.pathsep if name in _FOLDERS else "\n"):
            if place:
                _trust(context, name, Path(place))
    return context


def _trust(context: ssl.SSLContext, name: str, place: Path) -> None:
    try:
        if place.is_dir():
            context.load_verify_locations(capath=place)
        elif name in _FILES:
            context.load_verify_locations(cafile=place)
    except (OSError, ssl.SSLError) as error:  # an SSLError is an OSError whose strerror may be None
        reason = error.strerror or str(error)
        raise AccessError(f"{name} names {place}, which has no certificates: {reason}") from error
