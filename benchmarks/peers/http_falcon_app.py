"""Falcon."""

import falcon


class Hello:
    """The route with a parameter."""

    def on_get(self, request, response, name):
        """Answer with JSON."""
        response.media = {"hello": name}


app = falcon.App()
app.add_route("/hello/{name}", Hello())
