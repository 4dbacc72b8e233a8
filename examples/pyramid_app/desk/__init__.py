"""A help desk: people ask, agents solve, and everybody's page shows it at once."""

from pyramid.config import Configurator

from .security import Policy, Root


def main(global_config, **settings):
    """Make the Pyramid app, as `pserve` would call it."""
    settings = {"tm.manager_hook": "pyramid_tm.explicit_manager", **settings}
    with Configurator(settings=settings, root_factory=Root, security_policy=Policy()) as config:
        config.include("pyramid_jinja2")
        config.include("pyramid_tm")
        config.include("tina4_wsgi.contrib.pyramid")
        config.include(".models")
        config.add_static_view("static", "desk:static")
        config.add_route("desk", "/")
        config.add_route("login", "/login")
        config.add_route("join", "/join")
        config.add_route("logout", "/logout")
        config.add_route("ask", "/tickets")
        config.add_route("solve", r"/tickets/{number:\d+}/solve")
        config.scan()
        return config.make_wsgi_app()
