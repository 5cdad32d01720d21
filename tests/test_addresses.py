"""Secrets of addresses: whatever they are, and wherever they stand, what is shown has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import InputError
from edge_fgir._addresses import shown_address, shown_pipeline, split_address, without_secrets

pytestmark = pytest.mark.unit

MARK = "hunter2"
HOSTS = st.sampled_from(["10.0.0.7", "cam.local:554", "[fe80::1]:8554", "host"])
SCHEMES = st.sampled_from(["rtsp", "rtsps", "srt", "http", "https", "mqtt", "mqtts", "rtmp"])
PATHS = st.sampled_from(["/live/main", "/cgi-bin/video.cgi", "/hook", "/a/b;v=1"])
NAMES = st.one_of(
    st.sampled_from(["token", "key", "password", "auth", "sig", "pwd", "loginpas", "passphrase"]),
    st.sampled_from(
        ["apikey", "access_token", "code", "X-Amz-Signature", "id", "camera", "stream"]
    ),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.\-]{0,12}", fullmatch=True),
)
# With every sign that has a meaning in an address, escaped or as it is.
SECRETS = st.lists(st.sampled_from([*"@/?#&;=:%+,'\" ü\n", "%2F", "%40", "1"]), max_size=6).flatmap(
    lambda signs: st.integers(0, len(signs)).map(
        lambda at: "".join((*signs[:at], MARK, *signs[at:]))
    )
)
PLAIN_SECRETS = st.text("abcXYZ0189-_.~%+!$'()*,:@", min_size=1, max_size=40)


@given(SCHEMES, HOSTS, PATHS, SECRETS, SECRETS)
def test_user_and_password_are_hidden(scheme, host, path, user, password) -> None:
    for login in (f"{user}:{password}", password, f":{password}"):
        assert MARK not in shown_address(f"{scheme}://{login}@{host}{path}")
        text = f"lost {scheme}://{''.join(login.split())}@{host}{path}, 'tis late"
        assert MARK not in without_secrets(text)


@given(SCHEMES, HOSTS, PATHS, NAMES, SECRETS, st.booleans())
def test_values_of_a_query_are_hidden(scheme, host, path, name, secret, signed_in) -> None:
    login = "me:x@" if signed_in else ""
    for query in (
        f"{name}={secret}",
        secret,
        f"channel=1&{name}={secret}",
        f"{name}={secret}&channel=1",
        f"v;{name}={secret}",
        f"#{secret}",
    ):
        assert MARK not in shown_address(f"{scheme}://{login}{host}{path}?{query}")


@given(HOSTS, NAMES, SECRETS)
def test_values_in_a_path_are_hidden(host, name, secret) -> None:
    escaped = secret.replace("/", "%2F")
    assert MARK not in shown_address(f"rtsp://{host}/{name}={escaped}&channel=1/main")
    assert MARK not in shown_address(f"rtsp://{host}/main;{name}={escaped}")


@given(SCHEMES, HOSTS, PATHS, NAMES, PLAIN_SECRETS, PLAIN_SECRETS)
def test_what_is_shown_does_not_follow_from_a_secret(scheme, host, path, name, one, two) -> None:
    def shown(secret: str) -> str:
        return shown_address(f"{scheme}://{host}{path}?v={name}{secret}")

    # An "@" hides the host as well: who is to tell it from a password's?
    if ("@" in one) == ("@" in two):
        assert shown(one) == shown(two)


@given(SCHEMES, HOSTS, st.text("abcdefghijklmnop", min_size=1, max_size=12))
def test_an_address_without_secrets_is_shown_as_it_is(scheme, host, word) -> None:
    address = f"{scheme}://{host}/{word}/main?channel=1&subtype=0"
    assert shown_address(address) == address
    text = f"lost '{address}', again ({address})."
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://host/path?token=SECRET", "rtsp://host/path?***"),
        ("rtsp://u:p@host:554/cam?channel=1&key=S", "rtsp://***@host:554/cam?channel=1&***"),
        ("rtsp://me:se/cr@et@host/x", "rtsp://***@host/x"),
        ("rtsp://me:a=b@host/x", "rtsp://***@host/x"),
        ("rtsp://host/x?token=a@b", "rtsp://***"),
        ("rtsp://h/user=admin&password=S&channel=1&stream=0.sdp", "rtsp://h/***&channel=1"),
        ("http://h/v.cgi?loginuse=a&loginpas=88&fps=5", "http://h/v.cgi?***&fps=5"),
        ("https://h/hook?sig=S#frag", "https://h/hook?***#***"),
        ("https://ha.local/api/webhook/0f3ca1b2c3d4e5f60718", "https://ha.local/api/webhook/***"),
        ("rtsps://nvr:7441/AbCdEfGhIjKlMnOp?enableSrtp", "rtsps://nvr:7441/***?***"),
        ("http://host:secret/x", "http://***/x"),
        ("mqtt:me:secret@host/topic", "mqtt:***@host/topic"),
        ("mqtt://host/garden/birds", "mqtt://host/garden/birds"),
        ("https://host/a?", "https://host/a?"),
        ("photos/clip.mp4", "photos/clip.mp4"),
    ],
)  # fmt: skip
def test_how_addresses_are_shown(address, shown) -> None:
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    ("pipeline", "shown"),
    [
        ("rtspsrc location=rtsp://u:p@h/x?token=S ! y", "rtspsrc location=rtsp://***@h/x?*** ! y"),
        ('rtspsrc location="rtsp://u:p w@h/x" ! y', 'rtspsrc location="rtsp://***@h/x" ! y'),
        ("rtspsrc user-id = me user-pw = 'a b' ! x", "rtspsrc user-id=*** user-pw=*** ! x"),
        ("srtsrc uri=srt://h:1 passphrase=S", "srtsrc uri=srt://h:1 passphrase=***"),
        ("v4l2src ! video/x-raw,width=1280", "v4l2src ! video/x-raw,width=1280"),
    ],
)  # fmt: skip
def test_how_pipelines_are_shown(pipeline, shown) -> None:
    assert shown_pipeline(pipeline) == shown


@pytest.mark.parametrize(
    "address", ["mqtt://me:hunter2/x@host/t", "http://[hunter2/", "http://h:hunter2"]
)
def test_what_is_no_address_is_refused_without_a_piece_of_it(address) -> None:
    with pytest.raises(InputError, match="is no address; expected this") as caught:
        split_address(address, "this")
    assert MARK not in str(caught.value)
    assert caught.value.__suppress_context__
