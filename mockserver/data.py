"""Where the files that come with the package are: the providers' folders and the fixtures.

In a wheel they lie inside the package (`mockserver/_data`), in a checkout, an sdist or an editable install beside it.
What stands in them is the business of others.
"""

from __future__ import annotations

from pathlib import Path

from mockserver.errors import UserError, nearest

_PACKAGE = Path(__file__).resolve().parent


def schemas() -> Path:
    """Return the folder of the providers that come with the package."""
    return _find("schemas")


def fixtures() -> Path:
    """Return the folder of sample workflows, request bodies and scenarios."""
    return _find("fixtures")


def providers(folder: Path) -> dict[str, Path]:
    """Return the provider folders below *folder* by name, sorted; `_meta` and its like are none.

    Raises:
        UserError: *folder* holds no provider.
    """
    found = {entry.parent.name: entry.parent for entry in sorted(folder.glob("[!_.]*/openapi.json"))}
    if not found:
        raise UserError(f"{str(folder)!r} holds no provider: name a folder with NAME/openapi.json in it")
    return found


def provider(folder: Path, name: str) -> Path:
    """Return the folder of one provider below *folder*.

    Raises:
        UserError: there is none of this name.
    """
    known = providers(folder)
    if name not in known:
        raise UserError(f"there is no provider {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return known[name]


def _find(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    beside = _PACKAGE.parent / name
    for place in (installed, beside):
        if place.is_dir():
            return place
    raise UserError(
        f"the installation is incomplete: neither {installed} nor {beside} exists; install the package again"
    )
