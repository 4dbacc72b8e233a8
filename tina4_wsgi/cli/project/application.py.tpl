"""The application; tests import it from here, without the patching in wsgi.py."""

from pathlib import Path

from tina4_wsgi import App

# The modules of src/routes are imported here, and register their routes.
app = App(root=Path(__file__).resolve().parent)
