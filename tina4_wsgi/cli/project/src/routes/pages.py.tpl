"""The pages."""

from tina4_wsgi import Router


@Router.get("/")
def index(request, response):
    return response.html("index.html", {"rooms": ["general", "random"]})


@Router.get("/room/{room}")
def room(request, response):
    return response.html("room.html", {"room": request.params.room})
