"""The pages around the examples. The chat room's own page is beside its route, in
07_chat_room.py.
"""

from tina4_wsgi import Router


@Router.get("/")
def index(request, response):
    return response.html("index.html")


@Router.get("/echo")
def echo_page(request, response):
    return response.html("echo.html")


@Router.get("/chat")
def chat_page(request, response):
    return response.html("chat.html")


@Router.get("/announcements")
def announcements_page(request, response):
    return response.html("announcements.html")


@Router.get("/chat/{room}")
def scoped_chat_page(request, response):
    return response.html("scoped_chat.html", {"room": request.params.room})


@Router.get("/livechat/{room}")
def livechat_page(request, response):
    return response.html("livechat.html", {"room": request.params.room})


@Router.get("/private")
def private_page(request, response):
    return response.html("private.html")
