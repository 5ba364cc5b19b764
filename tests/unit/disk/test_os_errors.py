"""One table from OSError to our words."""

import errno
import os

import pytest

from vaultairefs.disk.os_errors import is_full, is_unsupported, translate, translated
from vaultairefs.model import errors


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, errors.NotFound),
        (errno.EEXIST, errors.AlreadyExists),
        (errno.ENOTDIR, errors.NotAContainer),
        (errno.ELOOP, errors.NotAContainer),
        (errno.EISDIR, errors.IsAContainer),
        (errno.ENOTEMPTY, errors.ContainerNotEmpty),
        (errno.ENAMETOOLONG, errors.NameTooLong),
        (errno.EPERM, errors.NotPermitted),
        (errno.EACCES, errors.AccessDenied),
        (errno.EINVAL, errors.InvalidRequest),
        (errno.EOPNOTSUPP, errors.NotSupported),
        (errno.EMLINK, errors.TooManyLinks),
        (errno.EFBIG, errors.TooLarge),
        (errno.ENOSPC, errors.OutOfSpace),
        (errno.EDQUOT, errors.QuotaExceeded),
        (errno.EROFS, errors.ReadOnly),
        (errno.ENODATA, errors.AttributeMissing),
        (errno.E2BIG, errors.AttributeTooLarge),
        (errno.EXDEV, errors.CrossesVolumes),
        (errno.EBADF, errors.BadHandle),
        (errno.ETXTBSY, errors.Busy),
        (errno.ESTALE, errors.Stale),
        (errno.ETIMEDOUT, errors.TimedOut),
        (errno.EMFILE, errors.Unavailable),
        (errno.EIO, errors.DeviceFailed),
    ],
)
def test_each_number_has_its_word(number: int, kind: type[errors.VaultaireError]) -> None:
    assert type(translate(OSError(number, "x"), operation="open")) is kind


def test_a_number_nobody_listed_and_no_number_at_all_are_a_failed_device() -> None:
    listed_nowhere = max(errno.errorcode) + 1
    assert type(translate(OSError(listed_nowhere, "x"), operation="open")) is errors.DeviceFailed
    assert type(translate(OSError("no number"), operation="open")) is errors.DeviceFailed


@pytest.mark.parametrize("name", ["/state/file", b"/state/file"])
def test_the_message_says_what_the_system_said_and_where(name: str | bytes) -> None:
    error = translate(OSError(errno.EIO, "it broke", name), operation="read", container=b"c", artifact=b"a")
    assert "it broke: /state/file" in str(error)
    assert (error.operation, error.container, error.artifact) == ("read", b"c", b"a")


def test_translated_keeps_the_original_as_the_cause() -> None:
    with pytest.raises(errors.NotFound) as caught, translated("open", artifact=b"a"):
        os.stat("/nonexistent/file")
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.artifact == b"a"


def test_translated_leaves_other_errors_and_our_own_alone() -> None:
    with pytest.raises(KeyError), translated("open"):
        raise KeyError
    with pytest.raises(errors.Busy), translated("open"):
        raise errors.Busy


def test_unsupported_and_full_are_told_from_failures() -> None:
    assert is_unsupported(OSError(errno.EOPNOTSUPP, ""))
    assert is_unsupported(OSError(errno.EXDEV, ""))
    assert not is_unsupported(OSError(errno.EIO, ""))
    assert not is_unsupported(OSError(errno.ENOSPC, ""))
    assert is_full(OSError(errno.ENOSPC, ""))
    assert is_full(OSError(errno.EDQUOT, ""))
    assert not is_full(OSError(errno.EIO, ""))
