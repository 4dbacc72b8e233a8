"""pgAdmin 4 in server mode, as its documentation has gunicorn serve it: `pgAdmin4:app`."""

import builtins
import sys
from importlib.util import find_spec

builtins.SERVER_MODE = True
sys.path[:0] = find_spec("pgadmin4").submodule_search_locations

from pgAdmin4 import app as application  # noqa: E402

__all__ = ["application"]
