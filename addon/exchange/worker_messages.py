"""What the add-on and its worker process say to each other (docs/architecture.md, "Messages").

One JSON object a line. Only the standard library is needed, so that a worker can speak before numpy and torch load.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Union, get_args

from .folder_messages import FolderAvatarRequest, FolderAvatarResult, JudgedFolder, JudgeFolderRequest
from .typed_json import JsonMismatch, decode, encode

PROTOCOL = 1
# no message comes near this; a longer line is something else
MAX_LINE_BYTES = 2**20


class MalformedMessage(ValueError):
    """A line is no message of this protocol; the text says why."""


class WrongProtocol(MalformedMessage):
    """The worker speaks another version of the protocol."""

    def __init__(self, protocol: object) -> None:
        super().__init__(f"protocol {protocol}, not {PROTOCOL}")
        self.protocol = protocol


# --- what a job asks for, and what it gives ---------------------------------------------------------------------------


@dataclass(frozen=True)
class PhotoOptions:
    """How an avatar is made, as on the backend's command line.

    Attributes:
        head: the user's head model file; None = the open head.
        face: which face, 1 = the largest.
        name: of the avatar; None = the photo's.
        texture_px, displacement_px: sides of the two maps.
        perspective: use a perspective camera; focal_35mm_mm: its focal length on 35 mm film (None: EXIF, else 50 mm).
        wrinkle_age: of the skin, 0 (smooth) to 1 (old).
    """

    head: str | None = None
    face: int = 1
    name: str | None = None
    texture_px: int = 2048
    displacement_px: int = 1024
    perspective: bool = False
    focal_35mm_mm: float | None = None
    wrinkle_age: float = 0.4


@dataclass(frozen=True)
class HeadOptions:
    """How the head model alone is made: head and name as in `PhotoOptions`; the maps' sides."""

    head: str | None = None
    name: str | None = None
    texture_px: int = 2048
    displacement_px: int = 256


@dataclass(frozen=True)
class PhotoResult:
    """The avatar package that was written, seconds by stage, and how many faces the photo shows."""

    package: str
    timings_s: dict[str, float]
    faces_found: int


@dataclass(frozen=True)
class FaceCrop:
    """One face of a photo: its number (1 = the largest), a picture of it, its box x0, y0, x1, y1 in pixels."""

    number: int
    crop: str
    box_px: tuple[float, float, float, float]


@dataclass(frozen=True)
class FacesResult:
    """The faces of a photo, largest first."""

    faces: tuple[FaceCrop, ...]


@dataclass(frozen=True)
class HeadResult:
    """The package of the head model alone, and seconds by stage."""

    package: str
    timings_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckHeadResult:
    """What a head file holds; `words` says it in one sentence."""

    name: str
    num_vertices: int
    num_shape: int
    num_expression: int
    words: str


@dataclass(frozen=True)
class WrinklesResult:
    """The folder of the frames' images, how many of them were made, and how many were right already."""

    folder: str
    frames_made: int
    frames_kept: int


@dataclass(frozen=True)
class PhotoRequest:
    """Make an avatar of a photo.

    Attributes:
        photo: absolute path of the file.
        package: absolute path of the folder to write.
    """

    kind: ClassVar[str] = "photo"
    result: ClassVar[type] = PhotoResult
    photo: str
    package: str
    options: PhotoOptions = PhotoOptions()


@dataclass(frozen=True)
class FacesRequest:
    """Find the faces of a photo; their crops (PNG, 160 pixels square) go into the folder."""

    kind: ClassVar[str] = "faces"
    result: ClassVar[type] = FacesResult
    photo: str
    folder: str


@dataclass(frozen=True)
class HeadRequest:
    """Write the package of a head model alone."""

    kind: ClassVar[str] = "head"
    result: ClassVar[type] = HeadResult
    package: str
    options: HeadOptions = HeadOptions()


@dataclass(frozen=True)
class CheckHeadRequest:
    """Say whether a file is a head model that can be used."""

    kind: ClassVar[str] = "check_head"
    result: ClassVar[type] = CheckHeadResult
    head: str


@dataclass(frozen=True)
class WrinklesRequest:
    """Bake the exact wrinkles of a range of frames.

    Attributes:
        package: absolute path of the avatar package.
        states: absolute path of the file of `expression_states`: what the avatar shows in each frame.
        folder: absolute path of the folder for the images; images that are right stay.
        owner: whose frames they are, for the folder's index.
        size_px: side of the images; None: that of the avatar's wrinkle maps.
    """

    kind: ClassVar[str] = "wrinkles"
    result: ClassVar[type] = WrinklesResult
    package: str
    states: str
    folder: str
    owner: str = ""
    size_px: int | None = None


# typing.Union: these are evaluated when the module loads, also by a Python that is too old and must be told so
Request = Union[  # noqa: UP007
    PhotoRequest, FacesRequest, HeadRequest, CheckHeadRequest, WrinklesRequest, JudgeFolderRequest, FolderAvatarRequest
]
JobResult = Union[  # noqa: UP007
    PhotoResult, FacesResult, HeadResult, CheckHeadResult, WrinklesResult, JudgedFolder, FolderAvatarResult
]
_REQUESTS: dict[str, type] = {request.kind: request for request in get_args(Request)}

# --- to the worker ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobMessage:
    """Do a job."""

    type: ClassVar[str] = "job"
    job: str
    request: Request


@dataclass(frozen=True)
class CancelMessage:
    """Stop a job."""

    type: ClassVar[str] = "cancel"
    job: str


@dataclass(frozen=True)
class ShutdownMessage:
    """End."""

    type: ClassVar[str] = "shutdown"


# --- from the worker --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadyMessage:
    """Everything is loaded.

    Attributes:
        version: of Likeness; python, torch: theirs.
        device: "cpu", "cuda:0" or "mps"; device_name: for people.
        threads: on the processor.
        pid: of the worker.
    """

    type: ClassVar[str] = "ready"
    protocol: int
    version: str
    python: str
    torch: str
    device: str
    device_name: str
    threads: int
    pid: int


@dataclass(frozen=True)
class ProgressMessage:
    """How far a job is: its stage's identifier and text for people, the fraction done, seconds left (None: unknown)."""

    type: ClassVar[str] = "progress"
    job: str
    stage: str
    text: str
    fraction: float
    seconds_left: float | None = None


@dataclass(frozen=True)
class DoneMessage:
    """A job is done; `result` is decoded by the kind of the request (`decode_result`)."""

    type: ClassVar[str] = "done"
    job: str
    result: dict[str, Any]


@dataclass(frozen=True)
class FailedMessage:
    """A job failed; without a job: the worker itself cannot start, and ends."""

    type: ClassVar[str] = "failed"
    job: str | None
    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class CancelledMessage:
    """A job has stopped."""

    type: ClassVar[str] = "cancelled"
    job: str


@dataclass(frozen=True)
class HeartbeatMessage:
    """The worker lives; `job` is what it works at."""

    type: ClassVar[str] = "heartbeat"
    job: str | None = None


WorkerMessage = Union[  # noqa: UP007
    ReadyMessage, ProgressMessage, DoneMessage, FailedMessage, CancelledMessage, HeartbeatMessage
]
ClientMessage = Union[JobMessage, CancelMessage, ShutdownMessage]  # noqa: UP007
_FROM_WORKER: dict[str, type] = {
    message.type: message
    for message in (
        ReadyMessage,
        ProgressMessage,
        DoneMessage,
        FailedMessage,
        CancelledMessage,
        HeartbeatMessage,
    )
}


# --- lines ------------------------------------------------------------------------------------------------------------


def to_line(message: ClientMessage | WorkerMessage) -> bytes:
    """A message as a line of JSON with its newline."""
    if isinstance(message, JobMessage):
        request = message.request
        document = {"type": message.type, "job": message.job, "kind": request.kind, **encode(request)}
    elif isinstance(message, DoneMessage):
        document = {"type": message.type, "job": message.job, "result": message.result}
    else:
        document = {"type": message.type, **encode(message)}
    # ASCII, so that file names which are no valid Unicode survive
    return json.dumps(document, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def worker_message(line: bytes) -> WorkerMessage:
    """Read a line of the worker's.

    Raises:
        WrongProtocol: it is a `ready` of another version.
        MalformedMessage: it is something else.
    """
    document = _document(line)
    record = _FROM_WORKER.get(document["type"])
    if record is None:
        raise MalformedMessage(f"there is no message {document['type']!r:.40}")
    if record is ReadyMessage and document.get("protocol") != PROTOCOL:
        raise WrongProtocol(document.get("protocol"))
    if record is DoneMessage:
        if not isinstance(document.get("job"), str) or not isinstance(document.get("result"), dict):
            raise MalformedMessage("done has no job or no result")
        return DoneMessage(document["job"], document["result"])
    return _decoded(record, document)


def client_message(line: bytes) -> ClientMessage:
    """Read a line of the add-on's.

    Raises:
        MalformedMessage: it is no message.
    """
    document = _document(line)
    kind = document["type"]
    if kind == JobMessage.type:
        request = _REQUESTS.get(str(document.get("kind")))
        if request is None or not isinstance(document.get("job"), str):
            raise MalformedMessage("a job has no known kind or no id")
        return JobMessage(document["job"], _decoded(request, document))
    if kind == CancelMessage.type:
        return _decoded(CancelMessage, document)
    if kind == ShutdownMessage.type:
        return ShutdownMessage()
    raise MalformedMessage(f"there is no message {kind!r:.40}")


def decode_result(request: Request, result: dict[str, Any]) -> JobResult:
    """Read a job's result.

    Raises:
        MalformedMessage: it is not what such a job gives.
    """
    return _decoded(type(request).result, result)


def _document(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise MalformedMessage(f"a line is longer than {MAX_LINE_BYTES} bytes")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"a line is not JSON: {line[:80]!r}") from error
    if not isinstance(document, dict) or not isinstance(document.get("type"), str):
        raise MalformedMessage("a line is not a message")
    return document


def _decoded(record: type, document: dict[str, Any]) -> Any:
    try:
        return decode(record, document)
    except JsonMismatch as error:
        raise MalformedMessage(str(error)) from error
