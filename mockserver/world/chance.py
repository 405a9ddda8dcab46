"""Streams of chance: each task, thing and call draws from its own, so a new draw in one place moves nothing elsewhere.

A stream is BLAKE2b in counter mode over the world's key and the stream's name; so it is the same on every Python,
platform and version, and costs nothing until drawn from. It is no cryptography: seeds are small and public.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from struct import unpack


def world_key(seed: int | str) -> bytes:
    """Return the key that sets one world's streams apart from those of other seeds."""
    return blake2b(str(seed).encode(), digest_size=16).digest()


class Stream:
    """One stream, named by *parts*: words and numbers of the program, never a client's text.

    Implements `mockserver.provider.scope.Chance`.
    """

    __slots__ = ("_blocks", "_key", "_left", "_parts")

    def __init__(self, key: bytes, *parts: str | int) -> None:
        self._key = key
        self._parts = parts
        self._blocks = 0
        self._left = b""

    def text(self, alphabet: str, length: int) -> str:
        size = len(alphabet)
        if 256 % size == 0:
            return self.bytes(length).translate(_table(alphabet)).decode("latin-1")
        raw = self.bytes(2 * length)
        # Two bytes a letter: the bias of 65536 over a small alphabet is below one in a thousand.
        return "".join([alphabet[number * size >> 16] for number in unpack(f">{length}H", raw)])

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * (int.from_bytes(self.bytes(8)) >> 11) * 2**-53

    def below(self, limit: int) -> int:
        """Return a number from 0 to *limit* - 1."""
        width = (limit.bit_length() + 7) // 8 + 4
        return (int.from_bytes(self.bytes(width)) * limit) >> (8 * width)

    def uuid(self) -> str:
        """Return a random UUID, version 4, lower case with hyphens."""
        raw = bytearray(self.bytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        digits = raw.hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def bytes(self, length: int) -> bytes:
        left = self._left
        if len(left) < length:
            # Most streams are never drawn from, so the name is put together here.
            name = self._key + "/".join(map(str, self._parts)).encode()
            while len(left) < length:
                left += blake2b(self._blocks.to_bytes(4) + name).digest()
                self._blocks += 1
        self._left = left[length:]
        return left[:length]


@lru_cache(maxsize=64)
def _table(alphabet: str) -> bytes:
    return (alphabet * (256 // len(alphabet))).encode("latin-1")
