"""An emulator of hosted ComfyUI services, driven wholly by the schemas of their providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.client import MockServer as MockServer
    from mockserver.client import intercept as intercept

__all__ = ["MockServer", "intercept"]

_HOMES = {"MockServer": "mockserver.client", "intercept": "mockserver.client"}


def __getattr__(name: str) -> Any:
    # Looked up when first asked for: importing the package costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
