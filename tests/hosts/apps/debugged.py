"""An application in `debug`, by its own code."""

from gevent import monkey

monkey.patch_all()

from tina4_wsgi import App, Router  # noqa: E402

router = Router()


@router.get("/fail")
def fail(request, response):
    raise LookupError("a secret of the inside")


app = App(router=router, debug=True)
