"""Download an image from an http(s) URL."""

import http.client
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from centernet.data.downloads import network_error
from centernet.data.images import SUFFIXES, decode_image
from centernet.errors import InputError
from centernet.inference.inputs import VIDEO_SUFFIXES, is_url, url_name

_TIMEOUT = 15.0  # seconds without a byte
_MAX_BYTES = 100 * 10**6
# Characters of a URL's path and query that are not quoted.
_SAFE = "/%:@!$&'()*+,;=~?"


@dataclass(frozen=True)
class RemoteImage:
    """A downloaded image.

    Attributes:
        name: the URL without password and query.
        pixels: (H, W, 3) uint8 RGB.
    """

    name: str
    pixels: NDArray[np.uint8]


def fetch_image(source: str) -> RemoteImage | None:
    """Download the image at a URL.

    The suffix of the URL's path distinguishes images from videos; if it is unknown, the content
    type of the response does.

    Returns:
        None if the source is not an http(s) URL, or is the URL of a video or stream.

    Raises:
        InputError: an image cannot be downloaded, is larger than 100 MB, or cannot be decoded.
    """
    if not is_url(source):
        return None
    name = url_name(source)
    is_image = False
    try:
        parts = urllib.parse.urlsplit(source)
        suffix = PurePosixPath(parts.path).suffix.lower()
        if parts.scheme not in ("http", "https") or suffix in VIDEO_SUFFIXES:
            return None
        is_image = suffix in SUFFIXES
        with _open(parts) as response:
            content = response.headers.get_content_maintype()
            # Cameras serve streams under names like video.jpg.
            is_image = content == "image" or (is_image and content not in ("multipart", "video"))
            data = response.read(_MAX_BYTES + 1) if is_image else b""
    except (OSError, http.client.HTTPException, ValueError) as error:
        if not is_image:
            return None
        raise InputError(f"cannot download image {name}: {network_error(error)}") from None
    if not is_image:
        return None
    if len(data) > _MAX_BYTES:
        raise InputError(
            f"image {name} is larger than {_MAX_BYTES // 10**6} MB: "
            "download it and give the file instead"
        )
    return RemoteImage(name, decode_image(data, name))


def _open(parts: urllib.parse.SplitResult) -> http.client.HTTPResponse:
    """Send a request, with the user name and password of the URL, if any."""
    host = parts.netloc.rpartition("@")[2]
    path, query = (urllib.parse.quote(part, safe=_SAFE) for part in (parts.path, parts.query))
    url = urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        user, password = (urllib.parse.unquote(p or "") for p in (parts.username, parts.password))
        passwords.add_password(None, url, user, password)
    opener = urllib.request.build_opener(
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPDigestAuthHandler(passwords),
    )
    request = urllib.request.Request(url, headers={"User-Agent": "centernet"})
    return opener.open(request, timeout=_TIMEOUT)
