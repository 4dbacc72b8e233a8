"""Answers with a file from disk: its type, validators and ranges.

The type comes from the file's name and a fixed table, so that it's the same on every machine:
the standard library's own table also reads `/etc/mime.types`.
"""

from __future__ import annotations

import mimetypes
import os
from typing import TYPE_CHECKING

from werkzeug.utils import send_file

from .headers import is_short_list

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.wrappers import Response as WerkzeugResponse

_MISSING_TYPES = {
    # Types that some of Python 3.10 to 3.13 lack or name differently.
    ".avif": "image/avif",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp3": "audio/mpeg",
    ".otf": "font/otf",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
_ENCODED_TYPES = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}
_VALIDATORS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_RANGE")
_UNKNOWN = "application/octet-stream"


def _build_types() -> mimetypes.MimeTypes:
    types = mimetypes.MimeTypes()
    for extension, media_type in _MISSING_TYPES.items():
        types.add_type(media_type, extension)
    return types


_TYPES = _build_types()


def media_type(name: str) -> str:
    """Return the media type of a file by its name: "text/css" for "app.css".

    A compressed file has the type of its compression. If "a.tar.gz" were sent as a tar with a
    Content-Encoding, browsers would unpack it and save it under a name that is wrong by then.
    """
    guessed, encoding = _TYPES.guess_type(os.path.basename(name).replace(":", "_"))
    if encoding:
        return _ENCODED_TYPES.get(encoding, _UNKNOWN)
    return guessed or _UNKNOWN


def send(
    path: str,
    environ: WSGIEnvironment,
    *,
    as_attachment: bool = False,
    download_name: str | None = None,
) -> WerkzeugResponse:
    """Answer with a file: ETag, Last-Modified, 304, one range; revalidated at every use.

    Args:
        path: absolute, of a regular file.
        as_attachment: whether the browser saves the file instead of showing it.
        download_name: the name to save the file under, instead of its own.
    Raises:
        RequestedRangeNotSatisfiable: the range begins after the end of the file.
        OSError: the file can't be read.
    """
    name = download_name or os.path.basename(path)

    # RFC 9110 §14.2 allows the whole file as an answer to several ranges; Werkzeug answers 416.
    # And Werkzeug takes some microseconds for each validator of a list that no client was given.
    left_out = {"HTTP_RANGE"} if "," in environ.get("HTTP_RANGE", "") else set()
    left_out |= {name for name in _VALIDATORS if not is_short_list(environ.get(name, ""))}
    if left_out:
        environ = {key: value for key, value in environ.items() if key not in left_out}

    response = send_file(
        path,
        environ,
        mimetype=media_type(name),
        as_attachment=as_attachment,
        download_name=name,
        max_age=None,
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
