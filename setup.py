"""Everything about the package is in pyproject.toml, except for the modules that may be compiled.

The engine's modules are compiled from their own Python source; the `.pxd` beside each only says which attributes and
variables are plain C. Without a compiler or without Cython the package is the same, and slower. An editable install
stays in Python, so that an edit takes effect; `TINA4_WSGI_PURE=1` asks for that in any build.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).parent


def extensions() -> list[Extension]:
    """Give the modules that have a `.pxd`, or none where they can't or mustn't be compiled."""
    if os.environ.get("TINA4_WSGI_PURE") or "editable_wheel" in sys.argv:
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = []
    for declared in sorted((HERE / "tina4_wsgi").rglob("*.pxd")):
        source = declared.with_suffix(".py").relative_to(HERE)
        name = ".".join(source.with_suffix("").parts)
        # optional: no compiler is no error; without debugging symbols it is a tenth of the size
        modules.append(Extension(name, [str(source)], optional=True, extra_compile_args=["-g0"]))
    # Annotations are for readers and mypy; what they would change in C, the .pxd says.
    directives = {"language_level": 3, "annotation_typing": False}
    built: list[Extension] = cythonize(modules, build_dir="build/cython", compiler_directives=directives)
    return built


setup(ext_modules=extensions())
