"""What of the engine seam can be asked of another process: read off the ``Engine`` protocol, so that a verb which is
added there goes through as it is.

Promise: every ``async`` method of the protocol is a verb here, every property a fact.  A parameter that is called
``descriptor``, or ends so, is an open file and travels as one; bytes of some size travel in a file of their own.
Pure, but for that file.
"""

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, get_type_hints

import msgspec

from vaultairefs.disk.copying import read_all
from vaultairefs.disk.durable import write_all
from vaultairefs.engine.interface import Engine
from vaultairefs.engine.worker_errors import decoded_custom, encoded_custom

APART_BYTES_MIN: Final = 48 << 10
"""Bytes from this size on travel in a memory file, which is cheaper than several rounds through the socket."""

ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=encoded_custom)


class Parcel(NamedTuple):
    """The arguments of one call, packed: ``descriptors`` are the caller's, then those of ``apart``, which are ours."""

    arguments: bytes
    descriptors: tuple[int, ...]
    apart: tuple[str, ...]

    def close(self) -> None:
        for descriptor in self.descriptors[len(self.descriptors) - len(self.apart) :]:
            os.close(descriptor)


class Verb:
    """One method of the protocol."""

    def __init__(self, name: str, method: Any) -> None:
        hints = get_type_hints(method)
        answer = hints.pop("return")
        parameters = list(inspect.signature(method).parameters.values())[1:]
        fields = [
            (p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], p.default) for p in parameters
        ]
        self.name = name
        self.descriptors = tuple(p.name for p in parameters if p.name.endswith("descriptor"))
        self._bytes = tuple(p.name for p in parameters if hints[p.name] is bytes)
        self._fields = tuple(p.name for p in parameters)
        self._positional = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self._arguments = msgspec.defstruct(f"{name}_arguments", fields, array_like=True)
        self._decoder = msgspec.msgpack.Decoder(self._arguments, dec_hook=decoded_custom)
        self._answers: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(answer, dec_hook=decoded_custom)

    def bytes_apart(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> int:
        """How many bytes ``pack`` will put into files."""
        sizes = [len(value) for value in (*arguments, *named.values()) if isinstance(value, bytes)]
        return sum(size for size in sizes if size >= APART_BYTES_MIN)

    def pack(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> Parcel:
        """``TypeError`` when the arguments are not the method's."""
        if len(arguments) > len(self._positional):
            raise TypeError(f"{self.name} takes {len(self._positional)} positional arguments, not {len(arguments)}")
        given = self._arguments(*arguments, **named)
        descriptors = [getattr(given, name) for name in self.descriptors]
        apart = tuple(name for name in self._bytes if len(getattr(given, name)) >= APART_BYTES_MIN)
        for name in apart:
            descriptors.append(_file_of(getattr(given, name)))
            setattr(given, name, b"")
        return Parcel(ENCODER.encode(given), tuple(descriptors), apart)

    def unpack(self, parcel: Parcel) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments; descriptors are those of the parcel."""
        given = self._decoder.decode(parcel.arguments)
        for name, descriptor in zip((*self.descriptors, *parcel.apart), parcel.descriptors, strict=True):
            setattr(given, name, _content_of(descriptor) if name in parcel.apart else descriptor)
        named = {name: getattr(given, name) for name in self._fields}
        return [named.pop(name) for name in self._positional], named

    def decode_answer(self, value: msgspec.Raw) -> Any:
        return self._answers.decode(value)


def _file_of(content: bytes) -> int:
    descriptor = os.memfd_create("vaultairefs")
    try:
        write_all(descriptor, content, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _content_of(descriptor: int) -> bytes:
    return read_all(descriptor, 0, os.fstat(descriptor).st_size)


def _public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(Engine).items() if isinstance(member, kind) and name[0] != "_"}


_METHODS: Final = _public(type(_public))
VERBS: Final[Mapping[str, Verb]] = {
    name: Verb(name, method) for name, method in _METHODS.items() if inspect.iscoroutinefunction(method)
}
"""All that can be awaited; ``close`` too."""

FACTS: Final[Mapping[str, msgspec.msgpack.Decoder[Any]]] = {
    name: msgspec.msgpack.Decoder(get_type_hints(member.fget)["return"]) for name, member in _public(property).items()
}
"""The properties, with what decodes them."""

ANSWERED_HERE: Final = frozenset(_METHODS) - frozenset(VERBS)
"""The methods that are not awaited: ``staging_path``, which costs no question."""
