"""Templates: escaped always, reloaded in debug only, and clear about what is missing."""

from __future__ import annotations

import os

import pytest

from tina4_wsgi.errors import UsageError
from tina4_wsgi.http.templating import Templates


def write(root, name: str, content: str) -> None:
    path = root / "src" / "templates" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(
        path, ns=(0, len(content))
    )  # Tells the versions of a file apart, whatever the clock's grain.


@pytest.mark.parametrize("name", ["page.html", "page.txt", "page", "mail.j2", "deep/er/page.svg"])
def test_everything_is_escaped_whatever_the_template_is_called(tmp_path, name):
    write(tmp_path, name, "<b>{{ user }}</b>")

    page = Templates(tmp_path).render(name, {"user": "<script>'\""})

    assert page == "<b>&lt;script&gt;&#39;&#34;</b>"


def test_templates_extend_and_include_each_other(tmp_path):
    write(tmp_path, "base.html", "<main>{% block body %}{% endblock %}</main>")
    write(tmp_path, "part.html", "{{ name }}")
    write(
        tmp_path,
        "page.html",
        "{% extends 'base.html' %}{% block body %}{% include 'part.html' %}{% endblock %}",
    )

    assert Templates(tmp_path).render("page.html", {"name": "<x>"}) == "<main>&lt;x&gt;</main>"


def test_filters_and_globals_may_be_added(tmp_path):
    write(tmp_path, "page.html", "{{ word | shout }} from {{ site }}")
    templates = Templates(tmp_path)
    templates.filters["shout"] = str.upper
    templates.globals["site"] = "here"

    assert templates.render("page.html", {"word": "hi"}) == "HI from here"


@pytest.mark.parametrize(("debug", "expected"), [(True, "after, longer"), (False, "before")])
def test_a_changed_template_is_seen_in_debug_only(tmp_path, debug, expected):
    write(tmp_path, "page.html", "before")
    templates = Templates(tmp_path, debug=debug)
    assert templates.render("page.html") == "before"

    write(tmp_path, "page.html", "after, longer")

    assert templates.render("page.html") == expected


def test_a_missing_template_names_the_folder_searched(tmp_path):
    write(tmp_path, "page.html", "")

    with pytest.raises(UsageError) as caught:
        Templates(tmp_path).render("rom.html")

    assert str(caught.value) == f"no template 'rom.html' in {tmp_path}/src/templates"


def test_a_missing_folder_is_named_as_such(tmp_path):
    with pytest.raises(UsageError, match="src/templates, a folder that doesn't exist"):
        Templates(tmp_path).render("room.html")


@pytest.mark.parametrize(
    "missing",
    [
        "{% include 'part.html' %}",
        "{% extends 'part.html' %}",
        "{% include ['part.html', 'other.html'] %}",
    ],
)
def test_a_missing_part_names_who_wants_it(tmp_path, missing):
    write(tmp_path, "page.html", missing)

    with pytest.raises(UsageError, match=r"no template 'part.html.* that 'page.html' uses in "):
        Templates(tmp_path).render("page.html")


@pytest.mark.parametrize("name", ["../secret.html", "/etc/hostname", "a/../../secret.html"])
def test_a_template_is_never_looked_for_outside_of_the_folder(tmp_path, name):
    write(tmp_path, "page.html", "")
    (tmp_path / "src" / "secret.html").write_text("secret")

    with pytest.raises(UsageError, match="no template"):
        Templates(tmp_path).render(name)
