"""`python -m tina4_wsgi` is the same as `tina4-wsgi`."""

from __future__ import annotations

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
