"""The files of one service: what clients bring, where it is kept and how it is named, found and listed.

Results are the runs' (`results.py`); they are found here too, since clients ask for both alike. What the client did
wrong is raised as `Refused` before anything has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mockserver.errors import Refused
from mockserver.provider.model import Part
from mockserver.world.asking import Asked, first_of, may_see, text_of
from mockserver.world.files import File, Shelf, annotated, extension_of, media_of, normal
from mockserver.world.things import UNKNOWN

if TYPE_CHECKING:
    from mockserver.world.runs import Runs


class Filing:
    """All files of one service.

    Args:
        answers: whether the provider has an answer to a condition, by kind and word.
        note: writes into the journal what a verb has done, and to which files.
    """

    def __init__(
        self, runs: Runs, shelf: Shelf, *, answers: Callable[[str, str], bool], note: Callable[..., None]
    ) -> None:
        self.shelf = shelf
        """What clients brought."""
        self._runs, self._answers, self._note = runs, answers, note
        self._folders: set[tuple[str, str]] = set()
        """Root and path of the folders that uploads have made."""

    def upload(self, asked: Asked) -> list[File]:
        parts = [part for part in asked.marks.get("file.bytes", ()) if part is not None]
        key = text_of(first_of(asked.marks, "file.key"))
        if key:
            return [self.put(key, part.content, part.media or None) for part in parts]
        return [self._kept(asked, part) for part in parts]

    def presign(self, asked: Asked) -> File:
        """Promise a place, to which the bytes are brought later."""
        name = text_of(first_of(asked.marks, "file.name"))
        if not name and self._answers("file", "unnamed"):
            raise Refused("file-unnamed", {"file.id": "", "file.state": UNKNOWN})
        kind = self._runs.provider.machine.kinds.get("file")
        media = None if kind is None else kind.options.get("upload-media")
        file = self._new_file(asked, name=name, media=None if media == "*/*" else media)
        # What lies there already stays until the bytes come.
        before = self.shelf.find(key=file.key)
        if before is None:
            self.shelf.add(file)
        self._note(asked, [file.key])
        return before or file

    def adopt(self, asked: Asked) -> File:
        """Take a file by its address; nothing is ever fetched."""
        address = text_of(first_of(asked.marks, "file.link") or first_of(asked.marks, "file.url"))
        key = text_of(first_of(asked.marks, "file.key"))
        if not key and address and self._runs.setup.locate is not None:
            key = self._runs.setup.locate(address) or ""
        file = self.find(key=key) if key else None
        copies = asked.verb.options.get("from", "own")
        if copies == "outside" or (copies == "anywhere" and not key):
            file = self._copied(asked, address, file) if file is not None or not key else None
        if file is None:
            raise Refused("file-unknown", {"file.key": key or address, "file.name": address})
        self._note(asked, [file.key])
        return file

    def named(self, asked: Asked) -> File:
        """Return the file that a download names, by id, key, path, or name with root and folder."""
        marks = asked.marks
        root = text_of(first_of(marks, "file.root")) or asked.verb.options.get("root") or "output"
        given = text_of(first_of(marks, "file.folder"))
        folder = given.strip("/")
        name, key, id = (text_of(first_of(marks, f"file.{part}")) for part in ("name", "key", "id"))
        path = text_of(first_of(marks, "file.path"))
        if path:
            folder, _, name = self._path(path).rpartition("/")
        elif given.startswith("/") or _escapes(f"{folder}/{name}"):
            raise Refused("file-outside", {"file.name": name})
        else:
            name, root = annotated(name, root)
            name = name.rpartition("/")[2]
        file = self.find(id=id or None, key=key or None, place=(root, folder, name) if name else None)
        if file is None:
            raise Refused("file-unknown", {"file.key": key or id, "file.name": name})
        return file

    def move(self, asked: Asked) -> File:
        file = self._at_path(asked)
        path = self._path(text_of(first_of(asked.marks, "file.to")))
        folder, _, name = path.rpartition("/")
        before = self.shelf.find(place=(file.root, folder, name))
        guarded = asked.verb.options.get("again") == "refuse" and not first_of(asked.marks, "file.overwrite")
        if before is not None and guarded:
            raise Refused("file-exists", {"file.name": name})
        self._note(asked, [file.path, path])
        self.shelf.remove(file)
        file.folder, file.name, file.key = folder, name, f"{file.root}/{path}"
        file.extension = extension_of(name, None)
        file.media = media_of(file.extension)
        self._make_folders(file)
        self.shelf.add(file)
        return file

    def find(
        self, *, id: str | None = None, key: str | None = None, place: tuple[str, str, str] | None = None
    ) -> File | None:
        """Return an upload or result by id, key, or root, folder and name; None when gone or not there yet."""
        found = self.shelf.find(id=id, key=key, place=place)
        if found is None:
            found = self._runs.results.find(key=key, place=place)
        if found is None or found.promised or self._gone(found):
            return None
        lost = found.task is not None and found.task.outlook.results == "missing"
        return None if lost else found

    def input(self, value: str) -> File | None:
        """Return the input file that a graph names: by id, key, or name with its folder."""
        path, root = annotated(value, "input")
        folder, _, name = path.strip("/").rpartition("/")
        return self.find(id=value) or self.find(key=value) or self.find(place=(root, folder, name))

    def put(self, key: str, content: bytes, media: str | None = None) -> File:
        """Fill a promised place with the bytes a client sent there.

        Raises:
            Refused: `file-unknown`; no place of this key was promised.
        """
        file = self.shelf.find(key=key)
        if file is None:
            raise Refused("file-unknown", {"file.key": key, "file.name": key.rpartition("/")[2]})
        self.shelf.fill(file, content, media)
        self._runs.journal.add(
            self._runs.now, self._runs.provider.name, "put", None, {"file.key": key, "bytes": len(content)}
        )
        return file

    def listed(self, asked: Asked) -> list[File]:
        """Return the caller's uploads, of one root or folder where that is asked for, in the order of their paths."""
        mine = [file for file in self.shelf if may_see(file, asked.account)]
        root = first_of(asked.marks, "file.root") or asked.verb.options.get("root")
        if asked.verb.options.get("results") == "latest":
            mine += [file for file in self._runs.results.all() if may_see(file, asked.account)]
            mine.sort(key=lambda file: -file.created)
            return [file for file in mine if file.root == root and not file.folder]
        if root is not None:
            mine = [file for file in mine if file.root == root]
        if "file.folder" not in asked.marks and root is None:
            return mine
        folder = normal(text_of(first_of(asked.marks, "file.folder")).strip("/"))
        if folder is None:
            raise Refused("file-outside", {"file.name": text_of(first_of(asked.marks, "file.folder"))})
        asked.call.folder = folder
        if folder and (root, folder) not in self._folders:
            raise Refused("folder-unknown", {"file.folder": folder})
        deep = asked.verb.options.get("folders") == "deep" or bool(first_of(asked.marks, "selection.deep"))
        listed = asked.verb.options.get("folders")
        if listed is not None:
            mine += self._as_files(text_of(root))
        below = f"{folder}/" if folder else ""
        found = [file for file in mine if file.folder == folder or (deep and file.folder.startswith(below))]
        if listed is not None:
            return sorted(found, key=lambda file: (not file.directory, file.name.lower(), file.path))
        return sorted(found, key=lambda file: file.path)

    def remove(self, asked: Asked) -> File:
        file = self._at_path(asked)
        self._note(asked, [file.path])
        self.shelf.remove(file)
        return file

    def _at_path(self, asked: Asked) -> File:
        """Return the upload at the path a call names."""
        path = self._path(text_of(first_of(asked.marks, "file.path")))
        folder, _, name = path.rpartition("/")
        root = text_of(first_of(asked.marks, "file.root")) or asked.verb.options.get("root") or "input"
        file = self.shelf.find(place=(root, folder, name))
        if file is None:
            raise Refused("file-unknown", {"file.key": path, "file.name": name})
        return file

    def _as_files(self, root: str) -> list[File]:
        """Return the folders of a root, for a list that shows them among the files."""
        folders = []
        for place, path in self._folders:
            if place == root:
                folder = File(self._runs, root=root, created=self._runs.now)
                folder.folder, _, folder.name = path.rpartition("/")
                folder.directory = True
                folders.append(folder)
        return folders

    def _kept(self, asked: Asked, part: Any) -> File:
        content = part.content if isinstance(part, Part) else bytes(part)
        name = text_of(first_of(asked.marks, "file.name")) or (part.filename if isinstance(part, Part) else "")
        path = text_of(first_of(asked.marks, "file.path"))
        if not name and not path and self._answers("file", "unnamed"):
            raise Refused("file-unnamed", {"file.id": "", "file.state": UNKNOWN})
        file = self._new_file(asked, name=path or name, media=part.media if isinstance(part, Part) else None)
        if asked.verb.options.get("folders") is not None:
            self._place(asked, file, path or name)
        elif _escapes(f"{file.folder}/{file.name}") or "\\" in f"{file.folder}{file.name}":
            raise Refused("file-outside", {"file.name": name})
        file.content = content
        again = asked.verb.options.get("again", "replace")
        before = self.shelf.find(place=(file.root, file.folder, file.name))
        if before is not None and not first_of(asked.marks, "file.overwrite"):
            if again == "refuse":
                raise Refused("file-exists", {"file.name": file.name})
            if again == "number":
                same = self._numbered(file)
                if same is not None:
                    same.given, same.given_folder = file.given, file.given_folder
                    return same
        if not first_of(asked.marks, "file.unwritten"):
            self._make_folders(file)
            self.shelf.add(file)
        self._note(asked, [file.key], size=len(content))
        return file

    def _place(self, asked: Asked, file: File, name: str) -> None:
        """Put *file* where its name leads, below the folder given; that folder is made, others must be there.

        Source: ComfyUI's `image_upload`, and its user data.
        """
        inside = normal(text_of(first_of(asked.marks, "file.folder")))
        path = None if inside is None else normal(f"{inside}/{name.lstrip('/')}".lstrip("/"))
        if inside is None or path is None:
            raise Refused("file-outside", {"file.name": name})
        file.folder, _, file.name = path.rpartition("/")
        file.given, file.given_folder = name.lstrip("/"), text_of(first_of(asked.marks, "file.folder"))
        known = file.folder == inside or (file.root, file.folder) in self._folders
        if asked.verb.options["folders"] == "known" and not known:
            raise Refused("folder-unknown", {"file.folder": file.folder})
        file.extension = extension_of(file.name, None)
        file.media = media_of(file.extension)
        file.key = f"{file.root}/{path}"

    def _make_folders(self, file: File) -> None:
        parts = file.folder.split("/") if file.folder else []
        self._folders.update((file.root, "/".join(parts[:count])) for count in range(1, len(parts) + 1))

    def _path(self, path: str) -> str:
        found = normal(path)
        if not found:
            raise Refused("file-outside", {"file.name": path})
        return found

    def _copied(self, asked: Asked, address: str, own: File | None) -> File | None:
        """Keep a copy of what lies at *address*, *own* or elsewhere; None where the address cannot be one."""
        scheme, mark, rest = address.partition("://")
        host, _, path = rest.partition("?")[0].partition("#")[0].partition("/")
        if scheme not in ("http", "https") or not mark or not host or "\\" in path or _escapes(path):
            return None
        file = self._new_file(asked, name=path.rpartition("/")[2], media=None)
        file.source, file.content = address, None if own is None else own.content
        self.shelf.add(file)
        return file

    def _numbered(self, file: File) -> File | None:
        """Find a free name as ComfyUI does, `name (1).png`; return the file already there if it has these bytes."""
        stem, dot, extension = file.name.rpartition(".")
        original, number = file.name, 0
        while (before := self.shelf.find(place=(file.root, file.folder, file.name))) is not None:
            if before.content == file.content:
                return before
            number += 1
            file.name = f"{stem} ({number}).{extension}" if dot else f"{original} ({number})"
            if file.given is not None:
                file.given = "".join([*file.given.rpartition("/")[:2], file.name])
        file.key = "/".join(part for part in (file.root, file.folder, file.name) if part)
        return None

    def _new_file(self, asked: Asked, *, name: str, media: str | None) -> File:
        root = text_of(first_of(asked.marks, "file.root")) or asked.verb.options.get("root") or "input"
        given = text_of(first_of(asked.marks, "file.media")) or media or None
        kind = self._runs.provider.machine.kinds.get("file")
        if kind is not None and kind.options.get("media") == "name":
            given = None
        self.shelf.made += 1
        file = File(self._runs, root=root, created=self._runs.now)
        file.number, file.account = self.shelf.made, asked.account
        file.folder = text_of(first_of(asked.marks, "file.folder")).strip("/")
        file.name = name.replace("\\", "/").rpartition("/")[2]
        file.extension = extension_of(file.name, given)
        file.media = given or media_of(file.extension)
        self._runs.results.name(file, f"upload.{file.number}", file.number)
        file.name = file.name or f"{file.number}.{file.extension}"
        return file

    def _gone(self, file: File) -> bool:
        kind = self._runs.provider.machine.kinds.get("file")
        return kind is not None and file.state in kind.states and kind.states[file.state].final


def _escapes(path: str) -> bool:
    return path.startswith("//") or "\0" in path or ".." in path.replace("\\", "/").split("/")
