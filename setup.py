"""Everything about the package is in pyproject.toml, except for the modules that may be compiled.

The engine's modules are compiled from their own Python source; the `.pxd` beside each only says
which attributes and variables are plain C. A `.pyx` beside it is the same module written for C, and
is compiled instead.

Without a compiler, Python's headers or Cython the package is the same, and slower. An editable
install stays in Python, so that an edit takes effect. `TINA4_WSGI_PURE=1` asks for Python in any
build, `TINA4_WSGI_PURE=0` for an error where the engine can't be compiled.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError, CompileError, LinkError

HERE = Path(__file__).parent
PURE = os.environ.get("TINA4_WSGI_PURE", "")

NOT_COMPILED = """\
the engine is not compiled: {error}
tina4-wsgi works all the same, and carries about half as many messages. To compile it, install
a C compiler and Python's headers (Debian: apt-get install build-essential python3-dev), then run
pip again with --no-cache-dir."""


class BuildEngine(build_ext):
    """Compiles all modules or none: they know the fields of each other, so a half of them couldn't
    be imported.
    """

    def run(self) -> None:
        """Compile the engine; where that fails, go on without."""
        try:
            translate_to_c(self.extensions)
            super().run()
        except (BaseError, CCompilerError, CompileError, LinkError, ImportError, OSError) as exc:
            if PURE == "0":
                raise
            self._go_on_without(exc)

    def _go_on_without(self, error: Exception) -> None:
        for built in map(Path, self.get_outputs()):
            built.unlink(missing_ok=True)
        self.extensions = self.distribution.ext_modules = []

        # What is left runs anywhere, so the wheel's name mustn't claim that it is for one Python
        # and one machine.
        wheel = self.distribution.get_command_obj("bdist_wheel", create=False)
        if wheel is not None:
            wheel.root_is_pure = True
        self.warn(NOT_COMPILED.format(error=error))


def modules() -> list[Extension]:
    """List the modules that have a `.pxd`; none where they mustn't be compiled."""
    if PURE not in ("", "0") or "editable_wheel" in sys.argv:
        return []
    found = []
    for declared in sorted((HERE / "tina4_wsgi").rglob("*.pxd")):
        written_for_c = declared.with_suffix(".pyx")
        source = (
            written_for_c if written_for_c.exists() else declared.with_suffix(".py")
        ).relative_to(HERE)
        name = ".".join(source.with_suffix("").parts)
        # Without debugging symbols it is a tenth of the size.
        found.append(Extension(name, [str(source)], extra_compile_args=["-g0"]))
    return found


def translate_to_c(extensions: list[Extension]) -> None:
    """Make the source of each module the C code that Cython writes for it.

    Raises:
        CompileError: Cython can't translate one.
        ImportError: there is no Cython.
    """
    from Cython.Build import cythonize
    from Cython.Compiler.Errors import CompileError as CythonError

    # Annotations are for readers and mypy; what they would change in C, the .pxd says.
    directives = {"language_level": 3, "annotation_typing": False}
    try:
        translated = cythonize(extensions, build_dir="build/cython", compiler_directives=directives)
    except CythonError as exc:
        raise CompileError(f"Cython: {exc}") from exc

    # setuptools has put its own marks on these objects, so they stay.
    sources = {extension.name: extension.sources for extension in translated}
    for extension in extensions:
        extension.sources = sources[extension.name]


setup(ext_modules=modules(), cmdclass={"build_ext": BuildEngine})
