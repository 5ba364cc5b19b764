"""A disk whose power can be cut: an ext4 image on a loop device, and copies of what had reached it.

The image is mounted with ``commit=600,noauto_da_alloc``: ext4 then writes its journal only when somebody asks for it,
so what a copy of the image holds is what was synced, and hardly anything else.  A copy mounts through another loop
device, as another filesystem, which is one of the two signs of a power cut that the daemon looks for.
"""

from pathlib import Path

from tests.support.programs import run

IMAGE_BYTES = 512 << 20


class Disk:
    """A mounted image at ``folder``."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.folder = folder
        run("mount", "-o", "loop,commit=600,noauto_da_alloc", image, folder)

    @classmethod
    def make(cls, base: Path) -> "Disk":
        image = base / "disk.image"
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
        (base / "disk").mkdir()
        return cls(image, base / "disk")

    def as_after_power_loss(self) -> "Disk":
        """What this disk would hold if the power failed now, mounted over it; nobody may be writing."""
        copy = self.image.with_suffix(".after")
        run("cp", "--sparse=always", self.image, copy)
        return Disk(copy, self.folder)

    def remove(self) -> None:
        """In the reverse order of mounting."""
        run("umount", self.folder)
        self.image.unlink()
