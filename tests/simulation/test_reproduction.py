"""A seed is one history, whichever process lives it and whatever it lived before; and the judge is not asleep."""

import pytest

from tests.simulation.chunks import lived


def test_a_seed_reproduces_a_history_exactly() -> None:
    together = lived("0:10")
    assert len({line.split()[1] for line in together}) == 10
    assert [lived(f"{seed}")[0] for seed in (7, 3, 9)] == [together[seed] for seed in (7, 3, 9)]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("forget-writes", id="bytes of the page cache are gone after a kill"),
        pytest.param("forget-names", id="the newest record of the journal is gone after a kill"),
        pytest.param("overwrite", id="a put replaces whatever is there"),
        pytest.param("leave-uploads", id="uploads are never thrown away"),
        pytest.param("mix-versions", id="a read takes bytes of any version"),
    ],
)
def test_a_planted_fault_breaks_a_promise(fault: str) -> None:
    with pytest.raises(AssertionError, match="breaks a promise"):
        lived("0:400", "--plant", fault)
