"""``script/demo`` does what the README says: mounts, works, shows the plain artifacts, leaves nothing behind."""

import re
from pathlib import Path

from tests.support.programs import run
from tests.tidy.sources import ROOT


def test_the_demo_shows_artifacts_in_the_engine_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    shown = run(ROOT / "script/demo", TMPDIR=str(tmp_path / "tmp"), HOME=str(tmp_path / "home"))
    sums = re.findall(r"^([0-9a-f]{64})  .*letters\.tar$", shown, re.MULTILINE)
    assert len(sums) == 2
    assert sums[0] == sums[1]
    assert shown.rstrip().endswith("Dear reader,")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
