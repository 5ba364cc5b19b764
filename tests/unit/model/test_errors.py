"""An error says where it happened, in one line."""

from vaultairefs.model.errors import NotFound, VaultaireError


def test_an_error_names_operation_tenant_container_and_artifact() -> None:
    error = NotFound("no such artifact", container=b"a/b", artifact=b"c", operation="open", tenant="t1")
    assert str(error) == "no such artifact (operation='open', tenant='t1', container=b'a/b', artifact=b'c')"


def test_an_error_without_words_says_its_own_meaning_in_one_line() -> None:
    for kind in VaultaireError.__subclasses__():
        text = str(kind())
        assert text
        assert "\n" not in text
        assert not text.endswith(".")
