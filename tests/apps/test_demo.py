"""``script/demo`` does what the README says: mounts, works, shows the plain artifacts, leaves nothing behind."""

from pathlib import Path

from tests.support.programs import run
from tests.tidy.sources import ROOT


def test_the_demo_shows_artifacts_in_the_engine_and_leaves_nothing_behind(tmp_path: Path) -> None:
    shown = run(ROOT / "script/demo", TMPDIR=str(tmp_path), HOME=str(tmp_path))
    one, other = [line.split()[0] for line in shown.splitlines() if line.endswith("letters.tar") and len(line) > 64][
        -2:
    ]
    assert one == other
    assert shown.rstrip().endswith("Dear reader,")
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
