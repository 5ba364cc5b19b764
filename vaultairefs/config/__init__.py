"""What the operator asked for: the environment, ``-o`` options and defaults, checked and typed.

Promise: everything above and below reads settings from here; ``os.environ`` is touched in ``environment.py`` only;
a value that cannot work raises ``BadInput`` with one clear sentence.  Importing this package costs nothing: the
pydantic model lives in ``settings.py`` and is loaded by those who mount.
"""
