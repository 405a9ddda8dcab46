"""A provider's folder as it was read: its files with one choice of readings, neither checked nor compiled.

Says at no cost what must be known of every provider when a server starts: where it stands, and by `digest` whether just
this content has passed all checks before. `compile` makes the `Provider`.
"""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mockserver import data
from mockserver.errors import UserError
from mockserver.provider import variants as open_questions
from mockserver.provider.documents import locate, parse_json, read_bytes
from mockserver.provider.servers import places, server_variables

if TYPE_CHECKING:
    from mockserver.provider.model import Provider

REQUIRED = ("openapi.json", "machine.json", "errors.json")
OPTIONAL = ("asyncapi.json", "variants.json")
COMPILED = 32
"""How many compiled folders one process keeps for whoever asks again."""


class Folder:
    """The files of one provider.

    Raises:
        SchemaFolderError: a file cannot be read.
        UserError: there is no such folder.
    """

    def __init__(self, path: Path, *, name: str | None = None, readings: Mapping[str, str] | None = None) -> None:
        if not path.is_dir():
            raise UserError(f"no folder {str(path)!r}; a provider is a folder with {', '.join(REQUIRED)}")
        self.name = name or path.name
        self.readings = dict(readings or {})
        self.files: dict[str, Any] = {}
        said = hashlib.sha256(repr((_checker(), self.name, sorted(self.readings.items()))).encode())
        for file in (*REQUIRED, *(file for file in OPTIONAL if (path / file).exists())):
            raw = read_bytes(path / file)
            self.files[file] = parse_json(raw, file)
            said.update(f"\0{file} {len(raw)}\0".encode())
            said.update(raw)
        self.digest = said.hexdigest()
        """Of all that decides whether the folder passes: content, name, readings, and the code that looks at them."""

    @functools.cached_property
    def documents(self) -> Mapping[str, Any]:
        """File name -> content with the readings applied; not of a folder that was never checked."""
        if not self.readings:
            return self.files  # the default of every variant is the files as they stand
        asked = self.files.get("variants.json", {})
        variants = open_questions.variants_of(locate(asked, "variants.json"), asked)
        return open_questions.apply(
            self.files, variants, open_questions.choose(variants, self.readings, folder=self.name)
        )

    @functools.cached_property
    def hosts(self) -> tuple[str, ...]:
        """Real host names, server variables filled with their defaults."""
        api = self.documents["openapi.json"]
        return places(api, server_variables(api))[0]

    def compile(self, *, checked: bool = False) -> Provider:
        """Return the provider; folders of one digest share it.

        Args:
            checked: this very content has passed before, so that nothing is looked at again.

        Raises:
            SchemaFolderError: the folder contradicts itself; says file, JSON pointer, what was found, what is right.
            UserError: `readings` names a variant or reading that the folder does not have.
        """
        from mockserver.provider.loading import compile_files

        provider = _compiled.get(self.digest)
        if provider is None:
            provider = compile_files(self.files, self.name, self.readings, checked=checked)
            _compiled[self.digest] = provider
            while len(_compiled) > COMPILED:
                _compiled.popitem(last=False)
        return provider


_compiled: OrderedDict[str, Provider] = OrderedDict()


@functools.cache
def _checker() -> object:
    """Return what stands for the code and the schemas that check a folder, as `.pyc` files stand for their source."""
    looked_at = (*Path(__file__).parent.glob("*.py"), *(data.schemas() / "_meta").glob("*.json"))
    return sorted((file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for file in looked_at)
