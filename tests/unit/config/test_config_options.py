"""The text after -o: whose each option is."""

import pytest

from vaultairefs.config import options
from vaultairefs.model.errors import BadInput


def test_options_are_split_at_commas_and_a_backslash_protects_one() -> None:
    assert options.split(r"ro,,state=/a\,b,x=c\\d") == ["ro", "state=/a,b", r"x=c\d"]


def test_a_backslash_at_the_end_is_refused() -> None:
    with pytest.raises(BadInput, match="backslash"):
        options.split("ro\\")


def test_everything_that_mount_and_systemd_pass_is_accepted() -> None:
    text = (
        "rw,nosuid,nodev,noexec,relatime,_netdev,nofail,noauto,x-systemd.automount,X-mount.mkdir,user=alice,allow_other"
    )
    parsed = options.parse(options.split(text))
    assert parsed.ours == {"allow_other": ""}
    assert parsed.kernel == ("rw", "nosuid", "nodev", "noexec", "relatime")


def test_sync_alone_is_the_kernels_and_with_a_value_ours() -> None:
    parsed = options.parse(["sync", "sync=stored"])
    assert parsed == ({"sync": "stored"}, ("sync",))


@pytest.mark.parametrize(
    "word", ["bogus", "bogus=1", "ro=1", "allow_other=yes", "state", "tenant=", "endpoint=x", "region"]
)
def test_an_unknown_option_or_a_value_out_of_place_is_one_sentence(word: str) -> None:
    with pytest.raises(BadInput) as caught:
        options.parse([word])
    message = str(caught.value)
    assert word.split("=")[0] in message
    assert "\n" not in message


def test_mount_s_lets_unknown_options_pass_but_not_bad_ones() -> None:
    assert options.parse(["bogus=1", "ro"], sloppy=True) == ({}, ("ro",))
    with pytest.raises(BadInput):
        options.parse(["allow_other=1"], sloppy=True)


def test_the_last_of_a_repeated_option_counts() -> None:
    assert options.parse(["ttl=1", "ttl=2"]).ours == {"ttl": "2"}
    assert options.is_read_only(("rw", "ro"))
    assert not options.is_read_only(("ro", "rw"))
    assert not options.is_read_only(())
