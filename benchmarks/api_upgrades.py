"""Is a project repaired offline after its library was upgraded? Real libraries, from the Python package index.

    python benchmarks/api_upgrades.py [--only NAME…] [--keep DIR] [--json FILE]

Each case is a small project written against an old release of a real library, with a suite that is green there. The script
makes one environment with the old release and one with the new one, shows that the suite is green in the first and red in
the second, and runs `pytest --agent-fix --agent search` in the second. `fixed`: every test passes afterwards in the new
environment; `rounds` and `seconds` are the run's. No model and no network while it repairs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Upgrade:
    """A project and the two releases that it is held against."""

    what: str  # what changed
    old: str
    new: str
    files: dict[str, str]
    error_on_warning: bool = False


CASES = {
    "jinja2": Upgrade(
        "contextfunction, contextfilter and Markup were removed or moved", "jinja2<3.1 markupsafe<2.1", "jinja2>=3.1",
        {"site_pages/filters.py": """
            from jinja2 import Markup, contextfilter, contextfunction

            @contextfilter
            def shout(context, text):
                return Markup(f"<b>{text}{context['mark']}</b>")

            @contextfunction
            def greet(context, name):
                return f"{context['hello']}, {name}"
            """,
         "site_pages/render.py": """
            from jinja2 import Environment
            from site_pages.filters import greet, shout

            def render(text, **values):
                env = Environment(autoescape=True)
                env.filters["shout"] = shout
                env.globals["greet"] = greet
                return env.from_string(text).render(**values)
            """,
         "tests/test_render.py": """
            from site_pages.render import render

            def test_filter_knows_the_context():
                assert render("{{ 'a'|shout }}", mark="!") == "<b>a!</b>"

            def test_function_knows_the_context():
                assert render("{{ greet('you') }}", hello="hi") == "hi, you"
            """},
    ),
    "markupsafe": Upgrade(
        "soft_unicode became soft_str", "markupsafe<2.1", "markupsafe>=2.1",
        {"labels.py": """
            import markupsafe

            def label(value):
                return markupsafe.soft_unicode(value).strip().title()
            """,
         "titles.py": """
            from markupsafe import escape, soft_unicode

            def title(value):
                return escape(soft_unicode(value))
            """,
         "tests/test_labels.py": """
            from labels import label
            from titles import title

            def test_label():
                assert label(" a b ") == "A B"

            def test_title():
                assert str(title("<a>")) == "&lt;a&gt;"
            """},
    ),
    "werkzeug": Upgrade(
        "url_quote, url_encode and safe_str_cmp were removed", "werkzeug<2.1 markupsafe<2.1", "werkzeug>=3",
        {"links.py": """
            from werkzeug.urls import url_encode, url_quote

            def link(path, **query):
                return url_quote(path) + "?" + url_encode(query)
            """,
         "tokens.py": """
            from werkzeug.security import safe_str_cmp
            from werkzeug.utils import secure_filename

            def same(a, b):
                return safe_str_cmp(a, b)

            def stored(name):
                return secure_filename(name)
            """,
         "tests/test_links.py": """
            from links import link

            def test_link():
                assert link("/a b", x="1") == "/a%20b?x=1"
            """,
         "tests/test_tokens.py": """
            from tokens import same, stored

            def test_same():
                assert same("a", "a") and not same("a", "b")

            def test_stored():
                assert stored("../a b") == "a_b"
            """},
    ),
    "pyyaml": Upgrade(
        "load() needs a Loader", "pyyaml==5.3.1", "pyyaml>=6",
        {"settings.py": """
            import yaml

            def settings(text):
                return yaml.load(text)

            def many(texts):
                return [yaml.load(text) for text in texts]
            """,
         "tests/test_settings.py": """
            from settings import many, settings

            def test_settings():
                assert settings("a: 1") == {"a": 1}

            def test_many():
                assert many(["a: 1", "[2]"]) == [{"a": 1}, [2]]
            """},
    ),
    "marshmallow": Upgrade(
        "missing and default became load_default and dump_default", "marshmallow<3.13", "marshmallow>=4",
        {"schemas.py": """
            from marshmallow import Schema, fields

            class User(Schema):
                name = fields.Str(missing="nobody")
                age = fields.Int(default=7)
            """,
         "tests/test_schemas.py": """
            from schemas import User

            def test_load():
                assert User().load({}) == {"name": "nobody"}

            def test_dump():
                assert User().dump({"name": "a"}) == {"name": "a", "age": 7}
            """},
    ),
    "attrs": Upgrade(
        "convert= became converter=", "attrs<19.2", "attrs>=21",
        {"points.py": """
            import attr

            @attr.s
            class Point:
                x = attr.ib(convert=int)
                y = attr.ib(default=0, convert=int)
            """,
         "tests/test_points.py": """
            from points import Point

            def test_point():
                assert Point("1", "2") == Point(1, 2)
            """},
    ),
    "pydantic": Upgrade(
        "dict(), json() and parse_obj() are deprecated, and warnings are errors", "pydantic<2", "pydantic>=2",
        {"models.py": """
            from pydantic import BaseModel

            class User(BaseModel):
                name: str
                age: int = 0

            def stored(user):
                return user.dict()

            def sent(user):
                return user.json()

            def received(data):
                return User.parse_obj(data)
            """,
         "tests/test_models.py": """
            import json
            from models import User, received, sent, stored

            def test_stored():
                assert stored(User(name="a")) == {"name": "a", "age": 0}

            def test_sent():
                assert json.loads(sent(User(name="a"))) == {"name": "a", "age": 0}

            def test_received():
                assert received({"name": "b"}).name == "b"
            """},
        error_on_warning=True,
    ),
    "semver": Upgrade(
        "module functions are deprecated in favour of Version, and warnings are errors", "semver<2.10", "semver>=3",
        {"releases.py": """
            import semver

            def newer(a, b):
                return semver.compare(a, b) > 0

            def next_minor(version):
                return semver.bump_minor(version)
            """,
         "tests/test_releases.py": """
            from releases import newer, next_minor

            def test_newer():
                assert newer("1.2.0", "1.1.9")

            def test_next_minor():
                assert str(next_minor("1.2.3")) == "1.3.0"
            """},
        error_on_warning=True,
    ),
    "click": Upgrade(
        "get_terminal_size was removed", "click<8.1", "click>=8.1",
        {"wide.py": """
            import click

            def columns():
                width, _ = click.get_terminal_size()
                return max(20, width)

            @click.command()
            @click.option("--n", default=1)
            def main(n):
                click.echo("x" * n + str(columns() >= 20))
            """,
         "tests/test_wide.py": """
            from click.testing import CliRunner
            from wide import columns, main

            def test_columns():
                assert columns() >= 20

            def test_main():
                assert CliRunner().invoke(main, ["--n", "2"]).output == "xxTrue\\n"
            """},
    ),
    "many-modules": Upgrade(
        "one removed import keeps eight test modules from being collected", "markupsafe<2.1", "markupsafe>=2.1",
        {"app/__init__.py": "", "app/text.py": """
            from markupsafe import soft_unicode

            def clean(value):
                return soft_unicode(value).strip()
            """,
         **{f"app/part{n}.py": f"""
            from app.text import clean

            def part(value):
                return clean(value) * {n}
            """ for n in range(1, 9)},
         **{f"tests/test_part{n}.py": f"""
            from app.part{n} import part

            def test_part():
                assert part(" a ") == "a" * {n}
            """ for n in range(1, 9)}},
    ),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="keep environments and projects there, and use them again")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    root = args.keep or Path(tempfile.mkdtemp(prefix="upgrades-"))
    rows = []
    for name, case in CASES.items():
        if not args.only or name in args.only:
            rows.append({"name": name, "what": case.what, **one(name, case, root)})
            row = rows[-1]
            print(
                f"{name:13} old {row['old']:12} new {row['new']:20} after {row['after']:12} {row['seconds']:6.1f} s wall"
                f" {row['cpu']:5.1f} s CPU  {row['diff']}",
                flush=True,
            )
    fixed = sum(r["fixed"] for r in rows)
    print(f"\n{len(rows)} upgrades, {fixed} fixed")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    if not args.keep:
        shutil.rmtree(root, ignore_errors=True)
    return 0


def one(name: str, case: Upgrade, root: Path) -> dict:
    old, new = (
        environment(root / f"env-{name}-{side}", spec)
        for side, spec in (("old", case.old), ("new", case.new))
    )
    tree = project(root / f"project-{name}", case)
    row = {"old": outcome(old, tree), "new": outcome(new, tree)}
    began, before = time.monotonic(), cpu()
    command = [
        "-m",
        "pytest",
        "--agent-fix",
        "--agent",
        "search",
        "--agent-lanes",
        "1",
        "-p",
        "no:cacheprovider",
        "tests",
    ]
    done = subprocess.run([new, *command], cwd=tree, env=clean(), capture_output=True, text=True, timeout=600, check=False)  # fmt: skip
    row |= {"seconds": time.monotonic() - began, "cpu": cpu() - before, "after": outcome(new, tree)}
    changed = subprocess.run(
        ["git", "diff", "-U0"], cwd=tree, capture_output=True, text=True, check=False
    ).stdout
    added = [line for line in changed.splitlines() if re.match(r"[+-](?![+-])", line)]
    row |= {"fixed": int(not re.search("failed|error", row["after"])), "diff": " ".join(added)[:300]}
    row["tail"] = done.stdout[-1500:] + done.stderr[-500:]
    return row


def environment(place: Path, spec: str) -> str:
    """The interpreter of an environment with one release of the library; pytest and this package are those that run this."""
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        install = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "-q",
            "--disable-pip-version-check",
        ]
        subprocess.run([*install, *spec.split()], check=True)
        site = next((place / "lib").glob("python*/site-packages"))
        (site / "tools.pth").write_text(
            f"{sysconfig.get_path('purelib')}\n{HERE}\n"
        )  # behind its own packages
    return str(python)


def project(tree: Path, case: Upgrade) -> Path:
    shutil.rmtree(tree, ignore_errors=True)
    warnings = (
        'filterwarnings = ["error", "ignore::pytest.PytestDeprecationWarning"]\n'
        if case.error_on_warning
        else ""
    )
    files = {**case.files, "pyproject.toml": f'[tool.pytest.ini_options]\npythonpath = ["."]\n{warnings}'}
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(textwrap.dedent(text).lstrip("\n"))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "before the upgrade"]):
        subprocess.run([*git, *command], cwd=tree, check=True, capture_output=True)
    return tree


def clean() -> dict[str, str]:
    return {n: os.environ[n] for n in ("PATH", "HOME", "LANG") if n in os.environ} | {
        "PYTHONDONTWRITEBYTECODE": "1"
    }


def outcome(python: str, tree: Path) -> str:
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "tests"]
    done = subprocess.run(
        command, cwd=tree, env=clean(), capture_output=True, text=True, timeout=120, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return re.sub(r" in [\d.]+s.*", "", lines[-1]).strip("= ") if lines else f"exit {done.returncode}"


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    raise SystemExit(main())
