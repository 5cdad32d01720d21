"""Addresses as messages, logs and files may show them: whoever reads one learns no secret.

What is shown is listed, and everything else is ``***``: a list of names that sound like secrets
would never be whole (``token``, ``sig``, ``loginpas``, ``passphrase``, ``X-Amz-Credential``).
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from edge_fgir._errors import InputError

HIDDEN = "***"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(/*)")
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::\d{0,5})?", re.ASCII)
# What tells the streams of one camera apart, and is no secret where it is a small number.
_HARMLESS = re.compile(
    r"(?:camera|channel|chn|fps|height|profile|resolution|stream|subtype|width)=\d{1,4}",
    re.ASCII | re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[&;]")
# Keys of streams and of webhooks are parts of the path. Words are short, or of one kind of letters.
_LONG = 16
_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile(r"\d"))
# Properties of GStreamer's elements, such as user-pw.
_SECRET_PROPERTY = re.compile(
    r"([\w-]*(?:user|pass|pw|secret|token|key|auth|cookie|header|pin)[\w-]*=).*",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN = re.compile(r"""(?:[^\s"']|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|["'])+""", re.DOTALL)


def shown_address(address: str) -> str:
    """Return an address without user, password, and what may be a secret in its path and query.

    A password may hold ``/`` and ``@`` although they should have been escaped: all before the last
    ``@`` is hidden, and everything where that may as well belong to a query's secret.
    """
    scheme = _SCHEME.match(address)
    start, rest = (scheme[0], address[scheme.end() :]) if scheme else ("", address)
    before, at, rest = rest.rpartition("@")
    if re.search("[/?#]", before) and re.search("[?#=]", before):
        return start + HIDDEN
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    path, fragment_sign, _ = rest[len(host) :].partition("#")
    path, query_sign, query = path.partition("?")
    return "".join(
        (
            start,
            f"{HIDDEN}@" if at else "",
            host if _HOST.fullmatch(host) else HIDDEN,
            "/".join(map(_shown_segment, path.split("/"))),
            query_sign,
            _shown_values(query) if query else "",
            fragment_sign and f"#{HIDDEN}",
        )
    )


def split_address(address: str, expected: str) -> SplitResult:
    """Return the parts of an address whose host and port can be used.

    Raises:
        InputError: They cannot.
    """
    try:
        parts = urlsplit(address)
        (parts.hostname or "").encode("idna")
        _ = parts.port
    except ValueError:
        # Its text quotes what it could not read, which may be a piece of a password.
        raise InputError(f"{shown_address(address)} is no address", expected) from None
    return parts


def without_secrets(text: str) -> str:
    """Return another's text, such as a library's message, with its addresses as they are shown."""
    return _TOKEN.sub(_shown_token, text)


def shown_pipeline(pipeline: str) -> str:
    """Return a GStreamer pipeline without what signs in somewhere."""
    text = re.sub(r"\s*=\s*", "=", pipeline)
    return _TOKEN.sub(lambda one: _SECRET_PROPERTY.sub(rf"\1{HIDDEN}", _shown_token(one)), text)


def _shown_token(token: re.Match[str]) -> str:
    text = token[0]
    address = _IN_TEXT.search(text)
    if address is None:
        return text
    end = len(text.rstrip("\"',.:)]}>"))  # of the sentence
    return text[: address.start()] + shown_address(text[address.start() : end]) + text[end:]


def _shown_segment(segment: str) -> str:
    if "=" in segment or ";" in segment:
        return _shown_values(segment)
    kinds = sum(kind.search(segment) is not None for kind in _KINDS)
    return HIDDEN if len(segment) >= _LONG and kinds > 1 else segment


def _shown_values(values: str) -> str:
    shown: list[str] = []
    for value in _SEPARATORS.split(values):
        if _HARMLESS.fullmatch(value):
            shown.append(value)
        elif HIDDEN not in shown:
            shown.append(HIDDEN)
    return "&".join(shown)
