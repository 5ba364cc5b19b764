"""A C project configures, builds and rebuilds on the mount; make trusts the times that it finds there."""

from pathlib import Path

import pytest

from tests.support.programs import run

CONFIGURE = """\
AC_INIT([speaker], [1.0])
AC_CONFIG_SRCDIR([main.c])
AC_PROG_CC
AC_PROG_INSTALL
AC_PROG_LN_S
AC_CHECK_HEADERS([unistd.h sys/mman.h])
AC_CHECK_FUNCS([mmap])
AC_CONFIG_HEADERS([config.h])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
"""
MAKEFILE = """\
prefix = @prefix@
OBJECTS = main.o words.o
speaker: $(OBJECTS)
\t@CC@ -o $@ $(OBJECTS)
%.o: %.c words.h config.h
\t@CC@ @CFLAGS@ -I. -c -o $@ $<
check: speaker
\ttest "`./speaker`" = "$(WORDS)"
install: speaker
\t@INSTALL@ -d $(DESTDIR)$(prefix)/bin
\t@INSTALL@ -m 0755 speaker $(DESTDIR)$(prefix)/bin/speaker
\tcd $(DESTDIR)$(prefix)/bin && @LN_S@ speaker say
clean:
\trm -f speaker $(OBJECTS)
.PHONY: check install clean
"""
MAIN = '#include <stdio.h>\n#include "config.h"\n#include "words.h"\nint main(void) { puts(words()); return 0; }\n'


@pytest.fixture
def project(place: Path) -> Path:
    folder = place / "project"
    folder.mkdir()
    (folder / "configure.ac").write_text(CONFIGURE)
    (folder / "Makefile.in").write_text(MAKEFILE)
    (folder / "config.h.in").write_text("#undef HAVE_MMAP\n")
    (folder / "install-sh").write_text("#!/bin/sh\nexit 1\n")
    (folder / "install-sh").chmod(0o755)
    (folder / "main.c").write_text(MAIN)
    (folder / "words.h").write_text("const char *words(void);\n")
    (folder / "words.c").write_text('#include "words.h"\nconst char *words(void) { return "plain words"; }\n')
    return folder


def test_a_c_project_configures_builds_and_installs(project: Path, place: Path) -> None:
    run("autoconf", cwd=project)
    run("./configure", "--prefix=/usr", cwd=project)
    assert "HAVE_MMAP 1" in (project / "config.h").read_text()
    run("make", "-j2", cwd=project)
    run("make", "check", "WORDS=plain words", cwd=project)
    assert "up to date" in run("make", cwd=project)
    (project / "words.c").write_text('#include "words.h"\nconst char *words(void) { return "other words"; }\n')
    rebuilt = run("make", cwd=project)
    assert "words.c" in rebuilt
    assert "main.c" not in rebuilt
    run("make", "check", "WORDS=other words", cwd=project)
    run("make", "install", f"DESTDIR={place}/destination", cwd=project)
    assert run(place / "destination/usr/bin/say") == "other words\n"
