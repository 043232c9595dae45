"""What add-on and worker say to each other survives the line, and nothing else gets through."""

from __future__ import annotations

import json

import pytest

from addon.exchange.typed_json import encode
from addon.exchange.worker_messages import (
    MAX_LINE_BYTES,
    CancelledMessage,
    CancelMessage,
    CheckHeadRequest,
    CheckHeadResult,
    DoneMessage,
    FaceCrop,
    FacesRequest,
    FacesResult,
    FailedMessage,
    HeadOptions,
    HeadRequest,
    HeadResult,
    HeartbeatMessage,
    JobMessage,
    MalformedMessage,
    PhotoOptions,
    PhotoRequest,
    PhotoResult,
    ProgressMessage,
    ReadyMessage,
    ShutdownMessage,
    WrongProtocol,
    client_message,
    decode_result,
    to_line,
    worker_message,
)

READY = ReadyMessage(1, "0.1.0", "3.11.7", "2.13.0", "cuda:0", "A card", 4, 123)
FROM_CLIENT = [
    JobMessage("1", PhotoRequest("/photos/写真.jpg", "/out/a b")),
    JobMessage("2", PhotoRequest("p", "q", PhotoOptions("h.pkl", 2, "Ünï", 512, 256, True, 85.0))),
    JobMessage("3", FacesRequest("p", "/crops")),
    JobMessage("4", HeadRequest("/out", HeadOptions("h.pkl", "Someone"))),
    JobMessage("5", CheckHeadRequest("h.pkl")),
    CancelMessage("1"),
    ShutdownMessage(),
]
FROM_WORKER = [
    READY,
    ProgressMessage("1", "fit_head", "fitting the head", 0.25, None),
    ProgressMessage("1", "fit_head", "fitting the head", 1.0, 3.5),
    DoneMessage("1", {"package": "/out"}),
    FailedMessage("1", "photo_missing", "There is no file.", "Choose another."),
    FailedMessage(None, "torch_missing", "No torch.", "Choose another Python."),
    CancelledMessage("1"),
    HeartbeatMessage("1"),
    HeartbeatMessage(None),
]
RESULTS = [
    (PhotoRequest("p", "q"), PhotoResult("q", {"fitting": 1.5}, 2)),
    (FacesRequest("p", "f"), FacesResult((FaceCrop(1, "f/1.png", (0.0, 1.0, 2.0, 3.5)),))),
    (HeadRequest("q"), HeadResult("q", {})),
    (CheckHeadRequest("h"), CheckHeadResult("flame", 5023, 300, 100, "It is a head.")),
]


@pytest.mark.parametrize("message", FROM_CLIENT, ids=lambda message: type(message).__name__)
def test_what_the_add_on_says_survives(message):
    line = to_line(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert client_message(line) == message


@pytest.mark.parametrize("message", FROM_WORKER, ids=lambda message: type(message).__name__)
def test_what_the_worker_says_survives(message):
    assert worker_message(to_line(message)) == message


@pytest.mark.parametrize(("request_", "result"), RESULTS, ids=lambda value: type(value).__name__)
def test_results_survive(request_, result):
    answer = worker_message(to_line(DoneMessage("1", encode(result))))
    assert decode_result(request_, answer.result) == result


def test_a_file_name_that_is_no_unicode_survives():
    message = JobMessage("1", PhotoRequest("/photos/caf\udce9.jpg", "/out"))
    assert client_message(to_line(message)) == message


def test_the_documented_fields_stand_in_the_line():
    document = json.loads(to_line(JobMessage("7", PhotoRequest("/a.jpg", "/b"))))
    assert {"type", "job", "kind", "photo", "package", "options"} == set(document)
    assert (document["type"], document["job"], document["kind"]) == ("job", "7", "photo")
    assert set(document["options"]) == {
        "head", "face", "name", "texture_px", "displacement_px", "perspective", "focal_35mm_mm",
        "wrinkle_age",
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        b"Loading checkpoint shards: 100%\n",
        b"\xff\xfe\x00\n",
        b"\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'{"type": 5}\n',
        b'{"type": "gossip"}\n',
        b'{"type": "progress", "job": "1", "stage": "a", "text": "b", "fraction": "half"}\n',
        b'{"type": "progress", "job": "1", "stage": "a", "text": "b", "fraction": NaN}\n',
        b'{"type": "done", "job": "1", "result": []}\n',
        b'{"type": "done", "result": {}}\n',
        b'{"type": "failed", "job": "1", "code": "x"}\n',
        b"[" * 100_000 + b"\n",
        b'{"type": "heartbeat", "x": "' + b"x" * MAX_LINE_BYTES + b'"}\n',
    ],
    ids=lambda line: repr(line[:30]),
)
def test_anything_else_of_the_worker_is_malformed(line: bytes):
    with pytest.raises(MalformedMessage):
        worker_message(line)


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b'{"type": "job", "job": "1", "kind": "song"}\n',
        b'{"type": "job", "kind": "photo", "photo": "a", "package": "b"}\n',
        b'{"type": "job", "job": "1", "kind": "photo", "photo": "a"}\n',
        b'{"type": "cancel"}\n',
        b'{"type": "ready"}\n',
    ],
)
def test_anything_else_of_the_add_on_is_malformed(line: bytes):
    with pytest.raises(MalformedMessage):
        client_message(line)


@pytest.mark.parametrize("protocol", [0, 2, "1", None])
def test_another_protocol_is_named(protocol: object):
    document = {**json.loads(to_line(READY)), "protocol": protocol}
    # a later version may have other fields
    del document["threads"]
    with pytest.raises(WrongProtocol) as refusal:
        worker_message(json.dumps(document).encode())
    assert refusal.value.protocol == protocol


def test_a_result_of_another_kind_is_malformed():
    with pytest.raises(MalformedMessage):
        decode_result(PhotoRequest("p", "q"), {"faces": []})
