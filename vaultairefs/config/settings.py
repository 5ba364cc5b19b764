"""The settings of one mount: every option of the command line, typed, with its default and its environment name.

Promise: a ``MountSettings`` that exists is usable as it stands; sizes are bytes, durations seconds.  Options of
the command line win over ``VAULTAIREFS_*`` variables, those over the defaults.  Does not look at the disk.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from vaultairefs.config import environment, options, units
from vaultairefs.model.errors import BadInput

MIB: Final = 1 << 20
_ENGINE_OPTIONS: Final = (
    "endpoint_url region profile passwd_file max_requests addressing_style sse storage_class requester_pays "
    "unsigned_payload"
)
ENGINE_OPTIONS: Final = tuple(_ENGINE_OPTIONS.split())


def _size(value: Any) -> Any:
    return units.parse_size(value) if isinstance(value, str) else value


def _duration(value: Any) -> Any:
    return units.parse_duration(value) if isinstance(value, str) else value


def _parse_octal(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"[0-7]{1,4}", value) or int(value, 8) > 0o777:
        raise ValueError("must be an octal mask such as 022")
    return int(value, 8)


def _switch(value: Any) -> Any:
    return "on" if value == "" else value


def _parse_flag(value: Any) -> Any:
    return True if value == "" else value


Size = Annotated[int, BeforeValidator(_size)]
Duration = Annotated[float, BeforeValidator(_duration), Field(ge=0, le=366 * 86400)]
Flag = Annotated[bool, BeforeValidator(_parse_flag)]
NumericId = Annotated[int, Field(ge=0, lt=0xFFFFFFFF)]


class MountSettings(BaseSettings):
    """One mount.  Field names are the option names of ``-o``."""

    model_config = SettingsConfigDict(env_prefix=environment.PREFIX, frozen=True, extra="forbid")

    spec: str
    mountpoint: Path
    kernel: tuple[str, ...] = ()

    state: Path | None = None
    tenant: str | None = None
    sync: Literal["buffered", "journaled", "stored"] = "journaled"
    conflict: Literal["keep-both", "overwrite", "fail"] = "keep-both"
    buffer_size: Annotated[Size, Field(ge=16 * MIB)] = 16 << 30
    memory: Annotated[Size, Field(ge=64 * MIB)] = 512 << 20
    chunk_size: Annotated[Size, Field(ge=MIB, le=5 << 30)] | None = None
    flush_workers: Annotated[int, Field(ge=1, le=256)] = 4
    flush_delay: Duration = 1.0
    ttl: Duration = 10.0
    events: Literal["on", "io"] = "on"
    passthrough: Literal["off", "auto"] = "off"
    uid: NumericId | None = None
    gid: NumericId | None = None
    umask: Annotated[int, BeforeValidator(_parse_octal)] | None = None
    allow_other: Flag = False
    log_format: Literal["json", "console"] = "json"
    worker: Literal["auto", "on", "off"] = "auto"
    supervise: Annotated[Literal["on", "off"], BeforeValidator(_switch)] = "on"
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    passwd_file: str | None = None
    max_requests: str | None = None
    addressing_style: str | None = None
    sse: str | None = None
    storage_class: str | None = None
    requester_pays: Flag = False
    unsigned_payload: Flag = False

    @property
    def engine_options(self) -> dict[str, str]:
        """Those that are the engine's own, as given; it judges them.  A flag that is set has no text."""
        given = {name: getattr(self, name) for name in ENGINE_OPTIONS}
        return {name: "" if value is True else value for name, value in given.items() if value not in (None, False)}

    @property
    def read_only(self) -> bool:
        return options.is_read_only(self.kernel)

    @property
    def state_id(self) -> str:
        """Sixteen hex digits that name this mount: the same spec, tenant and mount point give the same state."""
        words = (self.spec.rstrip("/"), self.tenant or "", str(self.mountpoint))
        return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def state_directory(self) -> Path:
        """``-o state=``, else a directory of this mount's own under the state home."""
        return self.state or environment.state_home() / self.state_id


def load(spec: str, mountpoint: str, words: list[str], *, sloppy: bool = False) -> MountSettings:
    """Settings from a command line; ``words`` are single options, as ``options.split`` gives them.

    ``BadInput`` in one sentence.  A relative state directory counts from the current directory; ``mountpoint`` is
    absolute with its symlinks resolved, so that one mount point has one name.
    """
    parsed = options.parse(words, sloppy=sloppy)
    given: dict[str, Any] = dict(parsed.ours)
    if "state" in given:
        given["state"] = Path(given["state"]).absolute()
    try:
        return MountSettings(spec=spec, mountpoint=Path(mountpoint), kernel=parsed.kernel, **given)
    except ValidationError as error:
        raise BadInput(_sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    """The first complaint, in the words of the option."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "option"
    if first["type"] == "literal_error":
        complaint = f"must be {first['ctx']['expected']}"
    elif first["type"] == "value_error":
        complaint = str(first["ctx"]["error"])
    else:
        complaint = first["msg"].replace("Input should be", "must be")
    return f"option {name}={first['input']}: {complaint}"
