"""Trac, with logins by its own middleware, as `tracd --basic-auth` has them."""

from pathlib import Path

from trac.web.main import dispatch_request
from trac.web.standalone import AuthenticationMiddleware, BasicAuthentication

HERE = Path.cwd()


def trac(environ, start_response):
    environ["trac.env_path"] = str(HERE / "project")
    return dispatch_request(environ, start_response)


passwords = BasicAuthentication(HERE / "htpasswd", "Trac")
application = AuthenticationMiddleware(trac, {"*": passwords}, "project")
