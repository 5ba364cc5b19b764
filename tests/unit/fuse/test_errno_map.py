"""The errno table: complete, and nothing unexpected reaches a program as anything but EIO."""

import errno
import inspect

import pytest

from vaultairefs.fuse import errno_map
from vaultairefs.model import errors

WORDS = [
    word
    for _, word in inspect.getmembers(errors, inspect.isclass)
    if issubclass(word, errors.VaultaireError) and word is not errors.VaultaireError
]


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_ours_has_its_own_row(word: type[errors.VaultaireError]) -> None:
    assert word in errno_map._ERRNOS


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (errors.NotFound(), errno.ENOENT),
        (errors.ContainerNotEmpty(), errno.ENOTEMPTY),
        (errors.NameTooLong(), errno.ENAMETOOLONG),
        (errors.TooLarge(), errno.EFBIG),
        (errors.CrossesVolumes(), errno.EXDEV),
        (errors.AttributeMissing(), errno.ENODATA),
        (errors.Stale(), errno.ESTALE),
        (errors.TimedOut(), errno.EIO),
        (errors.Unavailable(), errno.EIO),
        (None, 0),
        (ValueError(), errno.EIO),
        (errors.VaultaireError(), errno.EIO),
        (OSError(errno.ENOSPC, "not translated by the room that met it"), errno.EIO),
    ],
)
def test_programs_get_the_errno_of_the_manual_page(error: BaseException | None, number: int) -> None:
    assert errno_map.errno_of(error) == number


def test_a_more_special_error_counts_as_its_kind() -> None:
    class StateDirectoryFull(errors.OutOfSpace):
        """A special case."""

    assert errno_map.errno_of(StateDirectoryFull()) == errno.ENOSPC


def test_outcomes_are_errno_names() -> None:
    assert errno_map.errno_name(errors.NotFound()) == "ENOENT"
    assert errno_map.errno_name(RuntimeError()) == "EIO"
    assert errno_map.errno_name(errors.NotSupported()) in ("EOPNOTSUPP", "ENOTSUP")
    assert errno_map.errno_name(None) == "OK"
