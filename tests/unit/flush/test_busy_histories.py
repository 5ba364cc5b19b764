"""The flusher's machines on long histories, with an engine that renames and with one that cannot."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.flush import test_flusher_machine, test_foreign_machine
from tests.unit.flush.histories import busy_history
from tests.unit.flush.world import NATIVE, PLAIN
from vaultairefs.engine.interface import Capabilities

both = pytest.mark.parametrize("capabilities", [NATIVE, PLAIN], ids=["native", "plain"])


@pytest.mark.timeout(600)
@both
@given(seed=st.integers(min_value=0))
@settings(max_examples=80, deadline=None)
def test_the_engine_ends_as_programs_left_the_tree(capabilities: Capabilities, seed: int) -> None:
    trio.run(test_flusher_machine.live, capabilities, busy_history(seed, foreign=False))


@pytest.mark.timeout(600)
@both
@given(seed=st.integers(min_value=0))
@settings(max_examples=50, deadline=None)
def test_two_sides_end_with_one_tree_and_all_bytes(capabilities: Capabilities, seed: int) -> None:
    trio.run(test_foreign_machine.live, capabilities, busy_history(seed, foreign=True))
