"""Middleware that resolves the path finds WebSocket routes, and what keeps to the project's URLs
keeps doing so.
"""

from __future__ import annotations

import pytest

from tests.contrib.django_house import VERSIONS
from tests.contrib.django_program import printed_by

pytestmark = [pytest.mark.deadline(90), pytest.mark.usefixtures("django_programs")]

RESOLVING = {
    "by path_info": "resolve(request.path_info)",
    "by path": "resolve(request.path)",
    "by whatever URLconf the request may have": 'resolve(request.path_info, getattr(request, "urlconf", None))',
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", RESOLVING)
def test_middleware_finds_the_route_and_its_parameters(how, version):
    lines = printed_by(
        f"""
        def resolving(get_response):
            def call(request):
                found = {RESOLVING[how]}
                seen.append((found.route, found.kwargs, found.view_name))
                return get_response(request)
            return call

        MIDDLEWARE = ["project.resolving"]
        urlpatterns = [path("", lambda request: HttpResponse("home"))]

        def main():
            print(ask(), seen[0], client.get("/").text)
        """,
        version,
    )

    assert lines == ["open ('/ws/news/{number:int}', {'number': 7}, '__main__.news') home"]


def test_pages_are_not_answered_by_a_route():
    lines = printed_by("""
        def main():
            print(client.get("/ws/news/7").status_code)
    """)

    assert lines == ["404"]


@pytest.mark.parametrize("path", ["/ws/news/007", "/ws/news/%D9%A7", "/ws/news/07/"])
def test_another_spelling_of_a_routes_address_resolves_to_nothing(path):
    lines = printed_by(f"""
        from urllib.parse import unquote

        def resolving(get_response):
            def call(request):
                try:
                    seen.append(resolve(unquote({path!r})))
                except Http404:
                    seen.append("nothing")
                return get_response(request)
            return call

        MIDDLEWARE = ["project.resolving"]

        def main():
            print(ask(), seen[0])
    """)

    assert lines == ["open nothing"]


def test_a_redirect_of_what_does_not_resolve_spares_the_routes():
    lines = printed_by("""
        def redirecting(get_response):
            def call(request):
                try:
                    resolve(request.path_info)
                except Http404:
                    return HttpResponseRedirect("/elsewhere/")
                return get_response(request)
            return call

        MIDDLEWARE = ["project.redirecting"]

        def main():
            print(ask(), client.get("/nowhere").status_code)
    """)

    assert lines == ["open 302"]


def test_a_catch_all_of_the_project_comes_behind_the_routes():
    lines = printed_by("""
        def note(get_response):
            def call(request):
                seen.append(resolve(request.path_info).url_name)
                return get_response(request)
            return call

        MIDDLEWARE = ["project.note"]
        urlpatterns = [re_path("^(.*)$", lambda request, rest: HttpResponse(rest), name="catch-all")]

        def main():
            print(ask(), seen[0], client.get("/ws/news/7").text)
    """)

    assert lines == ["open None ws/news/7"]


TENANTS = {
    "a module's name": ('request.urlconf = "project.tenant"', "request.urlconf"),
    "a module": ("request.urlconf = tenant", "request.urlconf"),
    "for the thread": ('set_urlconf("project.tenant")', "None"),
    "both": ('request.urlconf = "project.tenant"; set_urlconf("project.tenant")', "None"),
}


@pytest.mark.parametrize("how", TENANTS)
def test_a_tenants_urlconf_gets_the_routes_too(how):
    sets, urlconf = TENANTS[how]

    lines = printed_by(f"""
        import types
        from django.urls import set_urlconf

        def of_tenant(get_response):
            def call(request):
                {sets}
                return get_response(request)
            return call

        def resolving(get_response):
            def call(request):
                seen.append((resolve(request.path_info, {urlconf}).route, reverse("tenant-page", {urlconf})))
                return get_response(request)
            return call

        MIDDLEWARE = ["project.of_tenant", "project.resolving"]
        tenant = types.ModuleType("project.tenant")
        tenant.urlpatterns = [path("only-here/", lambda request: HttpResponse("tenant"), name="tenant-page")]
        sys.modules["project.tenant"] = tenant

        def main():
            print(ask(), seen[0])
    """)

    assert lines == ["open ('/ws/news/{number:int}', '/only-here/')"]


def test_names_of_the_project_are_reversed_inside_of_an_event():
    lines = printed_by("""
        def act(data):
            return reverse("page", args=[3]), reverse("shop:cart")

        urlpatterns = [
            path("pages/<int:number>/", lambda request, number: HttpResponse(""), name="page"),
            path("shop/", include(([path("cart/", lambda request: HttpResponse(""), name="cart")], "shop"))),
        ]

        def main():
            with client.websocket("/ws/news/7") as ws:
                ws.receive()
                ws.send("go")
                print(ws.receive())
    """)

    assert lines == ["('/pages/3/', '/shop/cart/')"]


def test_i18n_patterns_are_at_work_in_events():
    lines = printed_by("""
        from django.conf.urls.i18n import i18n_patterns

        def act(data):
            return reverse("page")

        MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
        SETTINGS = {"USE_I18N": True, "LANGUAGES": [("en", "English"), ("de", "Deutsch")]}

        def make(wsgi_app):
            from tina4_wsgi.contrib.django import wrap
            urlpatterns.extend(i18n_patterns(path("page/", lambda request: HttpResponse(""), name="page")))
            return wrap(wsgi_app, router=router)

        def main():
            with client.websocket("/ws/news/7", headers={"Accept-Language": "de"}) as ws:
                ws.receive()
                ws.send("go")
                print(ws.receive())
    """)

    assert lines == ["/de/page/"]


REDIRECTS = {
    "APPEND_SLASH": '{"APPEND_SLASH": True}',
    "PREPEND_WWW": '{"PREPEND_WWW": True}',
    "both": '{"APPEND_SLASH": True, "PREPEND_WWW": True}',
}


@pytest.mark.parametrize("setting", REDIRECTS)
@pytest.mark.parametrize("kind", ["django.middleware.common.CommonMiddleware", "project.OwnCommon"])
def test_common_middleware_redirects_no_websocket(kind, setting):
    lines = printed_by(f"""
        from django.middleware.common import CommonMiddleware

        class OwnCommon(CommonMiddleware):
            pass

        MIDDLEWARE = ["{kind}"]
        SETTINGS = {REDIRECTS[setting]}
        urlpatterns = [re_path(r"^((?:[\\w\\-]+/)*)$", lambda request, rest: HttpResponse("page"))]

        def main():
            print(ask(), client.get("/x").status_code)
    """)

    assert lines == ["open 301"]


def test_common_middleware_still_refuses_whom_it_refuses():
    lines = printed_by("""
        import re
        MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
        SETTINGS = {"DISALLOWED_USER_AGENTS": [re.compile("Bad")]}

        def main():
            print(ask(User_Agent="Good"), ask(User_Agent="Bad"))
    """)

    assert lines == ["open 403"]


ANSWERING = {
    "a function": """
        def answering(get_response):
            return lambda request: HttpResponseRedirect("/log-in?next=x")
    """,
    "a class": """
        class answering:
            def __init__(self, get_response):
                pass

            def __call__(self, request):
                return HttpResponseRedirect("/log-in?next=x")
    """,
    "process_request": """
        from django.utils.deprecation import MiddlewareMixin
        class answering(MiddlewareMixin):
            def process_request(self, request):
                return HttpResponseRedirect("/log-in?next=x")
    """,
    "process_view": """
        from django.utils.deprecation import MiddlewareMixin
        class answering(MiddlewareMixin):
            def process_view(self, request, view, args, kwargs):
                return HttpResponseRedirect("/log-in?next=x")
    """,
}


@pytest.mark.parametrize("kind", ANSWERING)
def test_the_log_names_the_middleware_that_answered_and_where_to(kind):
    lines = printed_by(
        ANSWERING[kind]
        + """
        def passing(get_response):
            return lambda request: get_response(request)

        MIDDLEWARE = ["project.passing", "project.answering", "project.passing"]

        def main():
            print(ask(), *[line for line in log if "refused" in line])
        """
    )

    named = "__main__.answering" if kind == "process_view" else "project.answering"
    assert len(lines) == 1
    assert lines[0].startswith("403 ")
    assert lines[0].endswith(f"{named} answered 302 to '/log-in?next=x'")
