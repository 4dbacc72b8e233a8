"""PyInstaller's hook for this package: run by it, never imported.

PyInstaller follows the imports that it finds in Python code. The public names of `tina4_wsgi` are
imported when they are first used, and what the compiled engine imports is in no Python code at all;
so all modules are named here, except for those that an application imports by itself if it needs
them: they bring frameworks, gunicorn or pytest along.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

LEFT_TO_THE_APPLICATION = (
    "tina4_wsgi.cli",
    "tina4_wsgi.contrib",
    "tina4_wsgi.pytest_plugin",
    "tina4_wsgi.testing",
    "tina4_wsgi.worker",
)

hiddenimports = collect_submodules(
    "tina4_wsgi", lambda name: not name.startswith(LEFT_TO_THE_APPLICATION)
)
datas = collect_data_files("tina4_wsgi")
