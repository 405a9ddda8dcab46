"""Files: what clients brought, and what runs have written, with the names the machine gives them.

Holds what is known of a file, and an upload's bytes. The bytes of a result are drawn elsewhere, from the recipe kept
here (task, planned node, place in the batch). Names never become paths of the file system.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mockserver.world.budget import Account, Budget

if TYPE_CHECKING:
    from mockserver.world.plan import PlannedNode
    from mockserver.world.runs import Runs
    from mockserver.world.task import Task
    from mockserver.world.things import Thing

MEDIA = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "json": "application/json",
    "txt": "text/plain",
    "zip": "application/zip",
    "latent": "application/octet-stream",
    "safetensors": "application/octet-stream",
}
"""Extension -> media type. Our own table: the system's would differ from machine to machine."""

_EXTENSIONS = {media: extension for extension, media in reversed(MEDIA.items())}


def extension_of(name: str, media: str | None) -> str:
    """Return the extension of a client's file name, else the usual one of its media type, else `bin`."""
    stem, dot, extension = name.rpartition(".")
    if dot and stem and extension.isalnum():
        return extension.lower()
    return _EXTENSIONS.get(media or "", "bin")


def media_of(extension: str) -> str:
    return MEDIA.get(extension, "application/octet-stream")


class File:
    """One file. `None` is what is not known of it."""

    __slots__ = (
        "account",
        "bucket",
        "content",
        "created",
        "directory",
        "extension",
        "folder",
        "given",
        "given_folder",
        "height",
        "id",
        "index",
        "key",
        "label",
        "lifetime",
        "media",
        "name",
        "number",
        "planned",
        "prefix",
        "root",
        "runs",
        "source",
        "task",
        "ui",
        "width",
    )

    def __init__(self, runs: Runs, *, root: str, created: float) -> None:
        self.runs = runs
        self.root = root
        self.created = created
        self.number = 0
        """Counts uploads; 0 for a result."""
        self.id: str | None = None
        self.name = ""
        self.folder = ""
        self.key = ""
        self.bucket: str | None = None
        self.prefix: str | None = None
        self.label: str | None = None
        """The published name of its output, `""` if its node is not published; None where the workflow names none."""
        self.media = "application/octet-stream"
        self.extension = "bin"
        self.width: int | None = None
        self.height: int | None = None
        self.lifetime: float | None = None
        """Seconds a link to it lives unless the call says otherwise."""
        self.account: Thing | None = None
        self.content: bytes | None = None
        """An upload's bytes; None for a result, and for a place promised but not yet filled."""
        self.source: str | None = None
        """The address it was copied from, where a client named one; what lies elsewhere is never fetched."""
        self.task: Task | None = None
        """Whose result it is; with `planned` and `index` the recipe it is drawn from."""
        self.planned: PlannedNode | None = None
        self.index = 0
        self.directory = False
        """It is a folder, which lists of files may show."""
        self.given: str | None = None
        """The name as the client wrote it, with folders and all."""
        self.given_folder: str | None = None
        """The folder as the client wrote it beside the name."""
        self.ui: str | None = None
        """Key of the node's output under which ComfyUI lists it."""

    @property
    def node(self) -> str | None:
        """Id of the node that wrote it."""
        return None if self.planned is None else self.planned.id

    @property
    def size(self) -> int | None:
        """Bytes of an upload; None for what is drawn elsewhere."""
        return None if self.content is None else len(self.content)

    @property
    def digest(self) -> str | None:
        """BLAKE2b of an upload's bytes, 256 bits in hex."""
        return None if self.content is None else hashlib.blake2b(self.content, digest_size=32).hexdigest()

    @property
    def path(self) -> str:
        """Folder and name."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def bytes(self) -> bytes | None:
        return self.content

    @property
    def promised(self) -> bool:
        """A place that no bytes have come to yet."""
        return self.task is None and self.content is None and self.source is None

    @property
    def state(self) -> str:
        """`kept` until its age by the machine's delays makes it `gone`; computed, not scheduled."""
        return self.runs.results.aged(self)

    def __repr__(self) -> str:
        return f"<file {self.root}/{self.folder}/{self.name}>"


Place = tuple[str, str, str]
"""Root, folder and name."""


class Shelf:
    """Uploads by id, key and place; the oldest go when they outgrow *max_bytes*, *budget* or *max_files*."""

    __slots__ = ("_by_id", "_by_key", "_by_place", "_files", "_max_files", "_room", "made")

    def __init__(self, max_bytes: int, max_files: int, budget: Budget | None = None) -> None:
        self._files: OrderedDict[int, File] = OrderedDict()
        self._by_id: dict[str, File] = {}
        self._by_key: dict[str, File] = {}
        self._by_place: dict[Place, File] = {}
        self._room = Account(max_bytes, budget)
        self._max_files = max_files
        self.made = 0

    def add(self, file: File) -> None:
        old = self._by_place.get((file.root, file.folder, file.name))
        if old is not None:
            self.remove(old)
        self._files[file.number] = file
        if file.id is not None:
            self._by_id[file.id] = file
        if file.key:
            self._by_key[file.key] = file
        self._by_place[file.root, file.folder, file.name] = file
        self._room.change(file.size or 0)
        self._shrink(file)

    def fill(self, file: File, content: bytes, media: str | None) -> None:
        """Put *content* in the place of *file*."""
        self._room.change(len(content) - (file.size or 0))
        file.content = content
        file.media = media or file.media
        self._shrink(file)

    def remove(self, file: File) -> None:
        if self._files.pop(file.number, None) is None:
            return
        self._room.change(-(file.size or 0))
        place = (file.root, file.folder, file.name)
        indexes: tuple[tuple[dict[Any, File], Any], ...] = (
            (self._by_id, file.id),
            (self._by_key, file.key),
            (self._by_place, place),
        )
        for index, key in indexes:
            if index.get(key) is file:
                del index[key]

    def find(self, *, id: str | None = None, key: str | None = None, place: Place | None = None) -> File | None:
        """Return the file with this id, key or place, the first that is given."""
        if id is not None:
            return self._by_id.get(id)
        if key is not None:
            return self._by_key.get(key)
        return None if place is None else self._by_place.get(place)

    def close(self) -> None:
        """Give its room back: its world is no more."""
        self._room.close()

    def __iter__(self) -> Iterator[File]:
        return iter(self._files.values())

    def __len__(self) -> int:
        return len(self._files)

    def _shrink(self, newest: File) -> None:
        while len(self._files) > self._max_files or (self._room.change(0) and len(self._files) > 1):
            oldest = next(iter(self._files.values()))
            if oldest is newest:
                return
            self.remove(oldest)


def normal(path: str) -> str | None:
    """Return *path* without `.`, `..` and needless slashes; None where it is absolute or leaves the root."""
    if path.startswith("/") or "\0" in path:
        return None
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def annotated(name: str, root: str) -> tuple[str, str]:
    """Return name and root of a file that a graph or client names: `a.png [temp]` stands for `a.png` in `temp`.

    Source: ComfyUI's `folder_paths.annotated_filepath`.
    """
    for other in ("output", "input", "temp"):
        if name.endswith(f" [{other}]"):
            return name.removesuffix(f" [{other}]"), other
    return name, root


def by_root(texts: Any, root: str) -> Any:
    """Return the text that machine.json has for files of *root*: texts may stand for all roots or for each."""
    if isinstance(texts, Mapping):
        return texts.get(root, texts.get("*"))
    return texts
