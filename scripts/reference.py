"""Makes the reference of the public API out of docstrings and signatures: `python
scripts/reference.py` prints it.

The source is read and never run, so that the frameworks of `tina4_wsgi.contrib` need not be
installed. What is public is what `__all__` says, and in a module without one what has no
underscore; of a class, all methods and properties without one that have a docstring.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tina4_wsgi"

CORE = (
    ("The app", ("App", "broadcast", "count", "members", "disconnect", "Member", "Status")),
    ("Nothing missed", ("position", "history", "forget", "KeptMessage")),
    ("Routes", ("Router", "ask", "ANONYMOUS")),
    ("Connections", ("Connection", "Event")),
    ("HTTP", ("Request", "Response")),
    ("Frameworks", ("Bridge",)),
    ("From other processes", ("publish", "Publisher", "Receipt")),
)
"""Names of `tina4_wsgi` by section; what is in none of them stands under "Errors and the rest"."""
MODULES = (
    "testing",
    "pytest_plugin",
    "contrib.flask",
    "contrib.django",
    "contrib.pyramid",
    "contrib.bottle",
    "contrib.falcon",
    "contrib.logout",
    "contrib.paste",
)

SHOWN = {
    "App": (
        "broadcast",
        "position",
        "history",
        "forget",
        "keeps",
        "history_file",
        "all_kept",
        "count",
        "members",
        "disconnect",
        "backplane_status",
        "all_routes",
        "dismiss",
        "drain",
        "release",
    ),
    "Connection": (
        "send",
        "send_json",
        "json",
        "broadcast",
        "broadcast_to",
        "join",
        "leave",
        "broadcast_to_room",
        "rooms",
        "members",
        "resumed",
        "position",
        "close",
        "id",
        "ip",
        "headers",
        "query",
        "cookies",
        "environ",
        "refresh_auth",
        "route",
        "limits",
        "window_bits",
        "connected_at",
        "state",
        "closed",
        "close_code",
        "close_reason",
    ),
}
"""Of these classes only the members named are what people call, in this order; the others are the
engine's.
"""

WIDTH = 88  # of a signature on one line, in characters

FIELDS = re.compile(
    r"^(Args|Attributes|Returns|Raises|Greenlets|Greenlets and threads|Lock|Overflow):\s*(.*)$"
)
ITEM = re.compile(r"^    ([\w.*`, ]+): (.*)$")
BARE_TAG = re.compile(r"`[^`]*`|<")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function
Constant = ast.AnnAssign


def page() -> str:
    """Give the whole page, in Markdown."""
    names = dict(_exported("__init__"))
    told = {name for _, group in CORE for name in group}
    rest = tuple(name for name in names if name not in told and name != "__version__")
    parts = [HEAD]
    for title, group in (*CORE, ("Errors and the rest", rest)):
        parts.append(f"## {title}\n")
        parts += [_entry(name, *names[name]) for name in group]
    for module in MODULES:
        tree = _tree(module)
        parts += [f"## tina4_wsgi.{module}\n", _prose(ast.get_docstring(tree) or "")]
        prefix = module.replace("contrib", "").lstrip(".") + "." if "contrib" in module else ""
        parts += [_entry(prefix + name, *place) for name, place in _exported(module)]
    return "\n".join([*parts, _settings()])


HEAD = """# Reference

Made of the docstrings. What isn't here is not public and may change without notice.

`@Router.get(…)` and all other methods of a router work on the class too; then they mean
`Router.default`, which is what `App()` serves.
"""


def _path(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _exported(module: str) -> Iterator[tuple[str, tuple[str, Definition | Constant]]]:
    """Give the public names of a module, each with the module that defines it and its
    definition.
    """
    tree = _tree(module)
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            for name in ast.literal_eval(node.value):
                if name != "__version__":
                    yield name, _find(module, name)
            return
    for node in tree.body:
        if (
            isinstance(node, Definition)
            and not node.name.startswith("_")
            and not node.name.startswith("pytest_")
        ):
            yield node.name, (module, node)


def _find(module: str, name: str) -> tuple[str, Definition | Constant]:
    """Follow a name through imports to where it is defined."""
    tree = _tree(module)
    for node in ast.walk(tree):
        if isinstance(node, Definition) and node.name == name:
            return module, node
        if isinstance(node, Constant) and ast.unparse(node.target) == name:
            return module, node
        if (
            isinstance(node, ast.ImportFrom)
            and node.level == 1
            and name in {one.name for one in node.names}
        ):
            is_package = _path(module).name == "__init__.py"
            folder = module.split(".") if is_package else module.split(".")[:-1]
            parts = [part for part in (*folder, node.module or "") if part not in ("", "__init__")]
            return _find(".".join(parts), name)
    raise LookupError(f"{module}.{name} is exported, but defined nowhere")


def _entry(name: str, module: str, node: Definition | Constant) -> str:
    if isinstance(node, Constant):
        return f"### {name}\n\n{_prose(_text_behind(module, node))}"
    if isinstance(node, ast.ClassDef):
        return _class(name, module, node)
    is_fixture = "pytest.fixture" in map(ast.unparse, node.decorator_list)
    shown = _fixture(name, node) if is_fixture else _signature(name, node)
    return f"### {name}\n\n{shown}\n{_prose(ast.get_docstring(node) or '')}"


def _text_behind(module: str, constant: Constant) -> str:
    """Give the text that stands behind a constant, as a docstring does in a function."""
    body = _tree(module).body
    places = [ast.unparse(one.target) if isinstance(one, Constant) else "" for one in body]
    behind = body[places.index(ast.unparse(constant.target)) + 1]
    return str(ast.literal_eval(behind.value)) if isinstance(behind, ast.Expr) else ""


def _fixture(name: str, node: Function) -> str:
    gives = ast.unparse(node.returns) if node.returns else "object"
    return f"```python\n{name}: {gives.removeprefix('Iterator[').removesuffix(']')}\n```\n"


def _class(name: str, module: str, node: ast.ClassDef) -> str:
    lineage = _lineage(module, node)
    members = {member: text for _, base in lineage for member, text in _members(name, base)}
    if name in SHOWN:
        members = {member: members[member] for member in SHOWN[name]}
    makers = [
        one
        for _, base in lineage
        for one in base.body
        if isinstance(one, Function) and one.name == "__init__"
    ]
    if makers:
        shown = _signature(name, makers[-1])
    elif node.bases and ast.unparse(node.bases[0]) != "NamedTuple":
        shown = f"```python\nclass {name}({', '.join(map(ast.unparse, node.bases))})\n```\n"
    else:
        shown = _fields(name, node)
    text = f"### {name}\n\n{shown}\n{_prose(ast.get_docstring(node) or '')}"
    return "\n".join([text, *members.values()])


def _lineage(module: str, node: ast.ClassDef) -> list[tuple[str, ast.ClassDef]]:
    """Give the class behind its bases of the same package, whose public members are its own,
    too.
    """
    found = []
    for base in node.bases:
        if isinstance(base, ast.Name):
            try:
                where, definition = _find(module, base.id)
            except (LookupError, FileNotFoundError):
                continue
            if isinstance(definition, ast.ClassDef):
                found += _lineage(where, definition)
    return [*found, (module, node)]


def _members(owner: str, node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for one in node.body:
        if isinstance(one, Function) and not one.name.startswith("_") and ast.get_docstring(one):
            yield one.name, _member(owner, one.name, one)
        elif isinstance(one, ast.Assign | ast.AnnAssign) and isinstance(one.value, ast.Call):
            target = one.targets[0] if isinstance(one, ast.Assign) else one.target
            name, call = ast.unparse(target), one.value
            if ast.unparse(call.func) == "_http_registration":
                yield name, _registration(owner, name, call)


def _registration(owner: str, name: str, call: ast.Call) -> str:
    """Tell of `get` and its like, which are made by a function of the router."""
    methods = " and ".join(
        "any method" if isinstance(arg, ast.Name) else ast.literal_eval(arg) for arg in call.args
    )
    signature = f"```python\n{name}(path: str, handler: Callback | None = None)\n```"
    says = (
        f"Answer {methods} of a path by `handler(request, response)`; a decorator without "
        "`handler`."
    )
    return f"#### {owner}.{name}\n\n{signature}\n\n{says}\n"


def _member(owner: str, name: str, node: Function) -> str:
    decorators = " ".join(map(ast.unparse, node.decorator_list))
    if "property" in decorators.lower():
        kind = f"```python\n{name}: {ast.unparse(node.returns)}\n```\n" if node.returns else ""
        return f"#### {owner}.{name}\n\n{kind}\n{_prose(ast.get_docstring(node) or '')}"
    return (
        f"#### {owner}.{name}\n\n{_signature(name, node)}\n{_prose(ast.get_docstring(node) or '')}"
    )


def _signature(name: str, node: Function) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    parts = list(_arguments(node.args))
    text = f"{name}({', '.join(parts)}){returns}"
    if len(text) > WIDTH:
        text = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"
    return f"```python\n{text}\n```\n"


def _arguments(args: ast.arguments) -> Iterator[str]:
    """Give the parameters one by one as the source has them, without `self`."""
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    for arg, default in zip(positional, defaults, strict=True):
        if arg.arg not in ("self", "cls"):
            yield _argument(arg, default)
    if args.vararg:
        yield f"*{_argument(args.vararg, None)}"
    elif args.kwonlyargs:
        yield "*"
    yield from map(_argument, args.kwonlyargs, args.kw_defaults)
    if args.kwarg:
        yield f"**{_argument(args.kwarg, None)}"


def _argument(arg: ast.arg, default: ast.expr | None) -> str:
    annotated = ast.unparse(arg)
    if default is None:
        return annotated
    return (
        f"{annotated} = {ast.unparse(default)}"
        if arg.annotation
        else f"{annotated}={ast.unparse(default)}"
    )


def _fields(name: str, node: ast.ClassDef) -> str:
    fields = [ast.unparse(one) for one in node.body if isinstance(one, ast.AnnAssign)]
    text = f"{name}({', '.join(fields)})"
    if len(text) > WIDTH:
        text = f"{name}(\n" + "".join(f"    {field},\n" for field in fields) + ")"
    return f"```python\n{text}\n```\n"


def _prose(docstring: str) -> str:
    """Lay out a docstring: its sections become lists."""
    lines: list[str] = []
    in_section = False
    for line in docstring.splitlines():
        section = FIELDS.match(line)
        item = ITEM.match(line) if in_section else None
        if section:
            in_section = True
            lines += ["", f"**{section[1]}:** {section[2]}", *([] if section[2] else [""])]
        elif item:
            names = ", ".join(f"`{one.strip()}`" for one in item[1].replace("`", "").split(","))
            lines.append(f"- {names}: {item[2]}")
        elif in_section and line.startswith("    "):
            lines.append(f"  {line.strip()}")
        else:
            in_section = in_section and not line
            lines.append(line)
    return _escaped("\n".join(lines)).rstrip() + "\n"


def _escaped(text: str) -> str:
    """Keep what looks like a tag, outside of code, from becoming one."""
    return BARE_TAG.sub(lambda found: "&lt;" if found[0] == "<" else found[0], text)


def _settings() -> str:
    sys.path.insert(0, str(ROOT))
    from tina4_wsgi.config import ENVIRONMENT_PREFIX, Config  # imports nothing of gevent

    rows = []
    for item in dataclasses.fields(Config):
        setting = item.metadata["setting"]
        default = repr(item.default)
        per_route = "yes" if setting.per_route else ""
        rows.append(
            f"| `{item.name}` | `{default}` | {setting.unit} | {per_route} | {setting.reason} |"
        )
    head = textwrap.dedent(f"""
        ## Settings

        Keywords of `App(...)`, and environment variables with `{ENVIRONMENT_PREFIX}` and the name
        in capitals. Those marked are keywords of `Router.websocket(...)`, too.

        | setting | default | unit | per route | why |
        |---|---|---|---|---|
    """)
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page())
