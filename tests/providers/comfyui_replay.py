"""The recording of a real server played to the emulator, and what of both is compared.

Requests are sent in the recorded order, the clock turned by hand whenever a recorded frame is due. Between the recorded
cases others ran; what they left (numbers, results, uploads, sockets) is made by `UNRECORDED`.

Before two records are compared, what the real server does not determine either is taken out of both, always the same:

1. ids and socket ids, by the order in which they first appear;
2. moments, by what they are the moment of: the first is free, every repetition must be the same;
3. counters and random letters in file names, by the order in which they first appear;
4. the order of sets: `errors`, `executed`, `current_outputs`, `dependent_outputs`, outputs to execute;
5. prose the recording leaves out: tooltips, descriptions, search words, source lines of tracebacks;
6. bytes of pictures: format, mode, size and the keys of their texts are compared instead;
7. the port, which stands in `Origin`;
8. where a `status` frame that tells of a longer queue falls among the frames of the run (it races with them).
"""

from __future__ import annotations

import copy
import http.client
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

Record = dict[str, Any]
HEADERS = ("Content-Type", "Content-Disposition", "Accept-Ranges", "Server")
PRESENT = ("Etag", "Last-Modified")
"""Headers of which only the presence is compared."""

FIRST = "11111111111111111111111111111111"
SECOND = "33333333333333333333333333333333"
THIRD = "55555555555555555555555555555555"


def load(file: Path) -> list[Record]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


# --- what ran unrecorded ----------------------------------------------------------------------------------------------


def saved(color: int, prefix: str = "ComfyUI", **more: Any) -> Record:
    """A run that saves a plain picture."""
    return {
        "prompt": {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": color}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
        },
        **more,
    }


def sampled(seed: int, *, steps: int = 3, side: int = 64, end: str = "SaveImage", **more: Any) -> Record:
    """A run of the text-to-image graph."""
    last: Record = {"filename_prefix": "ComfyUI", "images": ["8", 0]} if end == "SaveImage" else {"images": ["8", 0]}
    sampler = {
        "cfg": 8, "denoise": 1, "latent_image": ["5", 0], "model": ["4", 0], "negative": ["7", 0],
        "positive": ["6", 0], "sampler_name": "euler", "scheduler": "normal", "seed": seed, "steps": steps,
    }  # fmt: skip
    return {
        "prompt": {
            "3": {"class_type": "KSampler", "inputs": sampler},
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5-pruned-emaonly.safetensors"}},
            "5": {"class_type": "EmptyLatentImage", "inputs": {"batch_size": 1, "height": side, "width": side}},
            "6": {
                "class_type": "CLIPTextEncode",
                "inputs": {"clip": ["4", 1], "text": "masterpiece best quality girl"},
            },
            "7": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["4", 1], "text": "bad hands"}},
            "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
            "9": {"class_type": end, "inputs": last},
        },
        **more,
    }


def literal_for_link() -> Record:
    run = saved(255)
    run["prompt"]["2"]["inputs"]["images"] = "notalink"
    return run


def only_preview() -> Record:
    run = saved(3, partial_execution_targets=["3"])
    run["prompt"]["3"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    return run


def sent_on_socket(color: int) -> Record:
    run = saved(color)
    run["prompt"]["2"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    return run


UNRECORDED: Mapping[int, Sequence[Callable[[Player], None]]] = {
    98: [
        lambda play: play.run(saved(255), number=18),
        lambda play: play.run(literal_for_link(), number=22),
        lambda play: play.run(sent_on_socket(255), number=32),
    ],
    142: [lambda play: play.run(saved(1, "sub/pre"), number=38)],
    223: [
        lambda play: play.run(saved(4, prompt_id="96679625-aef2-44f0-86df-8ad9ba46824c"), number=41),
        lambda play: play.run(only_preview(), number=42),
    ],
    251: [lambda play: play.run(saved(6), number=44), lambda play: play.run(saved(7), number=45)],
    288: [
        lambda play: play.upload("api.png", b"\x89PNG"),
        lambda play: play.upload("..%2F..%2Fup.png", b"\x89PNG"),
        lambda play: play.upload("bad.png", b"no picture"),
    ],
    412: [lambda play: play.run(sampled(12), number=51)],
    518: [
        lambda play: play.run(sampled(14, end="SaveImageWebsocket"), number=53),
        lambda play: play.run(sampled(15), number=54),
        lambda play: play.run(sampled(16, end="SaveImageWebsocket"), number=55),
    ],
    570: [lambda play: play.reconnect(SECOND, dropping=2)],
    610: [lambda play: play.submit(sampled(22, steps=40, side=128, client_id=SECOND), number=60)],
    619: [lambda play: play.submit(saved(109), number=61)],
    630: [lambda play: play.interrupt()],
    638: [lambda play: play.submit(saved(110, client_id=SECOND), number=62)],
    690: [lambda play: play.close(), lambda play: play.folder("x")],
    705: [lambda play: play.run(saved(120), number=63), lambda play: play.reconnect(THIRD, dropping=1)],
    818: [lambda play: play.run(saved(204), number=70)],
}
"""Number of the record -> what to do before it is played. Taken from what the recorded answers show of it."""


# --- playing ----------------------------------------------------------------------------------------------------------


@dataclass
class Player:
    """Plays records to a server and notes what it answers."""

    url: str
    numbers: int = 0
    """How many numbers the server has given."""
    sockets: dict[str | None, ClientConnection] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """Recorded id -> the server's own."""
    waiting: dict[str | None, list[Record]] = field(default_factory=dict)
    """Client -> records of frames that have not come."""
    lengths: dict[str | None, int] = field(default_factory=dict)
    """Client -> the queue it was last told of, in the recording."""
    names: dict[str, str] = field(default_factory=dict)
    """Recorded name of a result -> the server's own."""

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def play(self, records: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
        """Yield each record with what the server did in its place."""
        for record in records:
            for step in UNRECORDED.get(record["n"], ()):
                step(self)
            if record["kind"] == "http":
                yield record, self.http(record)
            elif record["kind"] == "ws_open":
                self.open(record)
            elif record["kind"] == "ws":
                self.waiting.setdefault(record["client"], []).append(record)
                yield from self.frames(record["client"])
        for client in self.waiting:
            yield from self.frames(client, last=True)
        self.close()

    def frames(self, client: str | None, *, last: bool = False) -> Iterator[tuple[Record, Record]]:
        """Yield what has come for the records that wait; the clock is turned for a frame that only time brings.

        A longer queue is brought by a call, which may have been recorded after the frame that tells of it.
        """
        waiting = self.waiting[client]
        while waiting:
            by_time = any(not self.tells_of_call(record) for record in waiting)
            actual = self.frame(waiting[0], turning=by_time)
            if actual["frame"] == "missing" and not by_time and not last:
                return
            record = waiting.pop(0)
            status = (record.get("message") or {}).get("data", {}).get("status")
            if status is not None:
                self.lengths[client] = status["exec_info"]["queue_remaining"]
            self.learn(record.get("message"), actual.get("message"))
            yield record, actual

    def tells_of_call(self, record: Record) -> bool:
        message = record.get("message") or {}
        if message.get("type") != "status" or "sid" in message["data"]:
            return False
        length: int = message["data"]["status"]["exec_info"]["queue_remaining"]
        return length > self.lengths.get(record["client"], 0)

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def http(self, record: Record) -> Record:
        request = record["request"]
        body, headers = self.body(request)
        path = self.own(request["path"])
        if path.partition("?")[0] == "/prompt" and request["method"] == "POST":
            self.prepare(record)
        status, given, content = self.call(request["method"], path, body, headers)
        answer: Record = {"status": status, "headers": {name.title(): value for name, value in given.items()}}
        answer |= understood(record["response"], content)
        self.learn(record["response"].get("json"), answer.get("json"))
        return {**record, "response": answer}

    def body(self, request: Record) -> tuple[bytes | None, dict[str, str]]:
        headers = {
            name: value.replace("18188", self.host.rpartition(":")[2])
            for name, value in request.get("headers", {}).items()
        }
        if "json" in request:
            return self.own(json.dumps(request["json"])).encode(), {"Content-Type": "application/json", **headers}
        if "raw_multipart" in request:
            return request["raw_multipart"].encode("latin-1"), {"Content-Type": "multipart/form-data; boundary=XX"}
        if "multipart" in request:
            return multipart(request["multipart"]), {"Content-Type": "multipart/form-data; boundary=XX"}
        return (request["body"].encode() if "body" in request else None), headers

    def prepare(self, record: Record) -> None:
        """Use up numbers, as calls did that were not recorded, until the recorded one is next."""
        request, answer = record["request"], record["response"].get("json")
        given = json.loads(request["body"] or "null") if "body" in request else request.get("json")
        if not isinstance(given, dict) or "number" in given:
            return
        if isinstance(answer, dict) and "number" in answer:
            self.use_up(abs(answer["number"]))
        self.numbers += 1

    def use_up(self, number: int) -> None:
        while self.numbers < number:
            assert self.call("POST", "/prompt", b"{}")[0] == 400
            self.numbers += 1

    def submit(self, run: Record, *, number: int) -> None:
        self.use_up(number)
        status, _, body = self.call("POST", "/prompt", json.dumps(run).encode())
        assert status == 200, body
        self.numbers += 1

    def run(self, run: Record, *, number: int) -> None:
        """Run to the end, and let no socket tell of it."""
        self.submit(run, number=number)
        self.turn()
        self.drain()

    def upload(self, name: str, content: bytes) -> None:
        body = multipart([{"name": "image", "filename": name, "content": content}])
        headers = {"Content-Type": "multipart/form-data; boundary=XX"}
        assert self.call("POST", "/upload/image", body, headers)[0] == 200

    def interrupt(self) -> None:
        self.call("POST", "/interrupt", b"")

    def folder(self, name: str) -> None:
        body = multipart(
            [{"name": "image", "filename": "x.png", "content": b"x"}, {"name": "subfolder", "value": name}]
        )
        self.call("POST", "/upload/image", body, {"Content-Type": "multipart/form-data; boundary=XX"})

    # sockets

    def open(self, record: Record) -> None:
        client = re.search("clientId=(.*)", record["url"])
        self.sockets[client[1] if client else None] = opened(f"ws://{self.host}{record['url']}")

    def reconnect(self, client: str, *, dropping: int) -> None:
        if client in self.sockets:
            self.sockets.pop(client).close()
        self.drain()
        self.sockets[client] = opened(f"ws://{self.host}/ws?clientId={client}")
        for _ in range(dropping):
            self.sockets[client].recv(timeout=5)

    def close(self) -> None:
        for socket in self.sockets.values():
            socket.close()
        self.sockets.clear()

    def drain(self) -> None:
        for socket in self.sockets.values():
            while received(socket) is not None:
                pass

    def frame(self, record: Record, *, turning: bool) -> Record:
        frame = None
        socket = self.sockets.get(record["client"])
        for _ in range(400):
            frame = None if socket is None else received(socket)
            if frame is not None or not turning or not self.turn(once=True):
                break
        actual = {key: record[key] for key in ("n", "run", "case", "kind", "client", "seq")}
        if frame is None and socket is not None and turning:
            frame = received(socket)
        if frame is None:
            return {**actual, "frame": "missing"}
        if isinstance(frame, str):
            return {**actual, "frame": "text", "message": json.loads(frame)}
        picture = Image.open(io.BytesIO(frame[8:]))
        return {
            **actual, "frame": "binary", "event": int.from_bytes(frame[:4], "big"),
            "image_type": int.from_bytes(frame[4:8], "big"), "image": shown(picture),
        }  # fmt: skip

    def turn(self, *, once: bool = False) -> bool:
        """Turn the clock to the next event, or to the end of all; False where nothing is due."""
        for _ in range(1 if once else 100_000):
            _, _, body = self.call("POST", "/_mock/clock", b'{"next": true}')
            if json.loads(body).get("next") is None:
                return False
        return True

    # the server's own ids and names

    def own(self, text: str) -> str:
        for recorded, ours in (*self.ids.items(), *self.names.items()):
            text = text.replace(recorded, ours)
        return text

    def learn(self, recorded: Any, actual: Any) -> None:
        if isinstance(recorded, dict) and isinstance(actual, dict):
            for name, value in recorded.items():
                if name == "prompt_id" and isinstance(value, str) and isinstance(actual.get(name), str):
                    self.ids.setdefault(value, actual[name])
                elif name == "filename" and isinstance(value, str) and "_temp_" in value and name in actual:
                    self.names.setdefault(value, actual[name])
                else:
                    self.learn(value, actual.get(name))
        elif isinstance(recorded, list) and isinstance(actual, list):
            for one, other in zip(recorded, actual, strict=False):
                self.learn(one, other)


def opened(address: str) -> ClientConnection:
    # It stays open beyond any block; `Player.close` ends it.
    return connect(address, max_size=None, max_queue=None).__enter__()


def received(socket: ClientConnection) -> str | bytes | None:
    """Return the next frame; None where the server has sent all it had."""
    try:
        socket.ping().wait(5)
        return socket.recv(timeout=0.01)
    except (TimeoutError, ConnectionClosed):
        return None


def multipart(parts: Sequence[Record]) -> bytes:
    written = []
    for part in parts:
        # The recording client wrote slashes in names so.
        name = part.get("filename", "").replace("/", "%2F")
        head = f'Content-Disposition: form-data; name="{part["name"]}"' + (f'; filename="{name}"' if name else "")
        content = part["value"].encode() if "value" in part else part.get("content") or upload_of(part)
        written.append(b"--XX\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n")
    return b"".join(written) + b"--XX--\r\n"


def upload_of(part: Record) -> bytes:
    """A picture of which only size and digest were recorded: equal digests, equal bytes."""
    held = io.BytesIO()
    if part["name"] == "image" and "mask" in part["filename"]:
        Image.new("RGBA", (32, 32), (0, 0, 0, 128)).save(held, "PNG")
    else:
        Image.new("RGB", (32, 32), f"#{part['sha256'][:6]}").save(held, "PNG")
    return held.getvalue()


def understood(recorded: Record, content: bytes) -> Record:
    """Return a body as the recording tells of it."""
    if "json" in recorded:
        try:
            return {"json": json.loads(content)}
        except ValueError:
            return {"text": content.decode("utf-8", "replace")}
    if "image" in recorded:
        try:
            return {"image": shown(Image.open(io.BytesIO(content)))}
        except OSError:
            return {"text": repr(content[:100])}
    return {"text": content.decode("utf-8", "replace")}


def shown(picture: Image.Image) -> Record:
    picture.load()
    keys = [key for key, value in picture.info.items() if isinstance(value, str) and picture.format == "PNG"]
    return {"format": picture.format, "mode": picture.mode, "size": list(picture.size), "text_keys": keys}


# --- comparing --------------------------------------------------------------------------------------------------------

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
_NAME = re.compile(r"((?:ComfyUI_temp_)|(?:\w+?_))([a-z]{5}_)?(\d{5})_\.png")
_SETS = ("errors", "executed", "current_outputs", "dependent_outputs")
_PROSE = ("tooltip", "description", "search_aliases", "output_tooltips")
_TIMES = ("timestamp", "create_time", "execution_start_time", "execution_end_time", "modified", "created")


class Normal:
    """One side of the comparison, told record by record."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._times: dict[str, Any] = {}

    def of(self, record: Record) -> Any:
        if record["kind"] == "ws":
            kept: Record = {
                name: record[name] for name in ("frame", "message", "event", "image_type") if name in record
            }
            if "image" in record:
                kept["image"] = {name: record["image"][name] for name in ("format", "mode", "size")}
            return self._value(kept, "")
        answer = record["response"]
        headers = {name: answer["headers"].get(name) for name in HEADERS}
        headers |= {name: name in answer["headers"] for name in PRESENT}
        body = {name: answer[name] for name in ("json", "text", "image") if name in answer}
        return self._value({"status": answer["status"], "headers": headers, **body}, "")

    def _value(self, value: Any, about: str) -> Any:
        if isinstance(value, dict):
            about = str(value.get("prompt_id") or value.get("id") or value.get("path") or about)
            return {
                self._text(name): self._member(name, member, about, value)
                for name, member in value.items()
                if name not in _PROSE
            }
        if isinstance(value, list):
            if value and value[0] in ("execution_start", "execution_success", "execution_cached") and len(value) == 2:
                return [value[0], self._value({**value[1], "moment": value[0]}, about)]
            return [self._value(one, about) for one in value]
        return self._text(value) if isinstance(value, str) else value

    def _member(self, name: str, value: Any, about: str, of: Record) -> Any:
        if name in _TIMES and isinstance(value, int) and value > 10**12:
            return self._time(f"{about}/{name}/{of.get('moment') or sorted(of)}", value)
        if name in _SETS and isinstance(value, list):
            return sorted((self._value(one, about) for one in value), key=repr)
        if name == "traceback":
            return [re.sub(r"\n    .*\n", "\n    <source line>\n", line) for line in value]
        if name == "type" and value in ("execution_start", "execution_success", "execution_cached"):
            return value
        if name == "data" and isinstance(value, dict) and "timestamp" in value:
            return self._value({**value, "moment": of.get("type")} if "status" not in value else value, about)
        if isinstance(value, list) and len(value) == 5 and isinstance(value[4], list):
            return [*(self._value(one, about) for one in value[:4]), sorted(value[4])]
        return self._value(value, about)

    def _time(self, key: str, value: Any) -> str:
        return "<moment>" if self._times.setdefault(key, value) == value else f"<another moment of {key}>"

    def _text(self, text: str) -> str:
        text = _ID.sub(lambda match: self._ids.setdefault(match[0], f"<id {len(self._ids)}>"), text)

        def name(match: re.Match[str]) -> str:
            key = (match[1], (match[2] or "") + match[3])
            known = sum(1 for prefix, _ in self._names if prefix == match[1])
            return self._names.setdefault(key, f"{match[1]}<{known}>.png")

        return _NAME.sub(name, text)


def case_of(record: Record) -> str:
    return f"{record['run']}:{record['case']}"


Side = list[tuple[Record, Any]]


def normalised(records: Sequence[Record]) -> Side:
    normal = Normal()
    return [(record, normal.of(record)) for record in records]


def differences(recorded: Side, actual: Side) -> dict[str, list[str]]:
    """Return case -> what differs; a case without differences has an empty list."""
    found: dict[str, list[str]] = {case_of(record): [] for record, _ in recorded}
    sides = (recorded, actual)
    streams: list[dict[Any, list[tuple[Record, Any]]]] = [{}, {}]
    for stream, side in zip(streams, sides, strict=True):
        for record, value in side:
            key = (case_of(record), record.get("client") if record["kind"] == "ws" else "http")
            stream.setdefault(key, []).append((record, value))
    for key in streams[0] | streams[1]:
        case, channel = key
        ours, theirs = ([value for _, value in stream.get(key, [])] for stream in streams)
        if channel != "http":
            ours, theirs = settled(ours), settled(theirs)
        if len(ours) != len(theirs):
            found.setdefault(case, []).append(f"{len(ours)} recorded, {len(theirs)} came")
        for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            if one != other:
                where = streams[0][key][number][0]["n"]
                found.setdefault(case, []).append(f"{channel} n={where}: {first_difference(one, other)}")
    return found


def settled(frames: list[Any]) -> list[Any]:
    """Move each `status` that tells of a longer queue up to the status before it."""
    result: list[Any] = []
    last, place = 0, 0
    for frame in frames:
        message = frame.get("message") or {}
        if message.get("type") != "status" or "sid" in message["data"]:
            result.append(frame)
            place = len(result) if message.get("type") == "status" else place
            continue
        length = message["data"]["status"]["exec_info"]["queue_remaining"]
        if length > last:
            result.insert(place, frame)
            place += 1
        else:
            result.append(frame)
            place = len(result)
        last = length
    return result


def first_difference(one: Any, other: Any, at: str = "") -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one | other:
            if one.get(name, "<absent>") != other.get(name, "<absent>"):
                return first_difference(one.get(name, "<absent>"), other.get(name, "<absent>"), f"{at}/{name}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            if pair[0] != pair[1]:
                return first_difference(*pair, f"{at}/{number}")
    return f"{at}: recorded {str(one)[:300]}, came {str(other)[:300]}"


def mutated(records: Sequence[Record], chance: Any) -> tuple[list[Record], str]:
    """Return the records with one fault in them, and what it is."""
    changed = list(records)
    kind = chance.choice(("value", "value", "drop", "swap"))
    frames = [index for index, record in enumerate(changed) if record["kind"] == "ws"]
    if kind == "drop":
        index = chance.choice(frames)
        return changed[:index] + changed[index + 1 :], f"frame n={changed[index]['n']} dropped"
    if kind == "swap":
        index = chance.choice(frames[:-1])
        other = next((at for at in frames if at > index and changed[at]["client"] == changed[index]["client"]), index)
        if changed[index].get("message") != changed[other].get("message"):
            changed[index], changed[other] = dict(changed[index]), dict(changed[other])
            for name in ("frame", "message", "event", "image_type", "image"):
                one, two = changed[index].pop(name, None), changed[other].pop(name, None)
                changed[index] |= {} if two is None else {name: two}
                changed[other] |= {} if one is None else {name: one}
            return changed, f"frames n={changed[index]['n']} and n={changed[other]['n']} swapped"
    place = chance.randrange(len(changed))
    record = changed[place] = copy.deepcopy(changed[place])
    root = record["message"] if "message" in record else record.get("response") or record
    if record["kind"] == "http":
        keys = [key for key in ("status", "json", "text", "image") if key in root]
        root = {key: root[key] for key in keys}
    places = list(leaves(root))
    parent, key = chance.choice(places)
    value = parent[key]
    parent[key] = (
        (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"{value}x"
    )
    if record["kind"] == "http":
        record["response"] |= root
    return changed, f"n={record['n']} {key}: {value!r} -> {parent[key]!r}"


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        if isinstance(member, dict | list) and member:
            yield from leaves(member)
        elif key not in _PROSE and key not in ("body_len", "body_head_hex", "length", "head_hex"):
            yield value, key
