"""In every install layout the workspace's code runs, shown by a real interpreter over path files as build backends write them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_agentflow.adapters.import_roots import find, from_facts, standard_library_shadows

# What `pip install -e .` leaves in site-packages: the .pth files, and the finders that setuptools and editables generate.
FLAT_FINDER = """
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
MAPPING = {mapping!r}
NAMESPACES = {{}}
class _EditableFinder:
    @classmethod
    def find_spec(cls, fullname, _path=None, _target=None):
        if fullname in MAPPING:
            pkg = Path(MAPPING[fullname])
            for candidate in (pkg / "__init__.py", pkg.with_suffix(".py")):
                if candidate.exists():
                    return spec_from_file_location(fullname, candidate)
        return None
def install():
    sys.meta_path.{how}
"""
REDIRECTOR = """
import sys, importlib.util
class RedirectingFinder:
    _redirections = {mapping!r}
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if "." in fullname or path is not None or fullname not in cls._redirections:
            return None
        return importlib.util.spec_from_file_location(fullname, cls._redirections[fullname])
sys.meta_path.append(RedirectingFinder)
"""
MESON = """
import sys
class MesonpyMetaFinder:
    def __init__(self):
        self._top_level_modules, self._build_path = {{"shop"}}, {build!r}
    def find_spec(self, fullname, path=None, target=None):
        assert fullname.partition(".")[0] != "shop", "this would build"
sys.meta_path.insert(0, MesonpyMetaFinder())
"""


def project(top: Path, inside: str) -> None:
    package = top / inside / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "prices.py").write_text("def where():\n    return __file__\n")


def install(layout: str, top: Path, site: Path) -> None:
    """The files that a build backend puts into site-packages for this layout."""
    site.mkdir(parents=True)
    if layout in ("setuptools src", "hatchling src"):
        project(top, "src")
        (site / "_shop.pth").write_text(f"{top}/src\n")
    elif layout == "hatchling flat":
        project(top, "")
        (site / "_shop.pth").write_text(f"{top}\n")
    elif layout == "setuptools flat":
        project(top, "")
        body = FLAT_FINDER.format(mapping={"shop": f"{top}/shop"}, how="append(_EditableFinder)")
        (site / "__editable___shop_1_0_finder.py").write_text(body)
        (site / "__editable__.shop-1.0.pth").write_text(
            "import __editable___shop_1_0_finder; __editable___shop_1_0_finder.install()\n"
        )
    elif layout == "setuptools flat strict":
        project(top, "")
        tree = top / "build" / "__editable__.shop-1.0-py3-none-any"
        (tree / "shop").mkdir(parents=True)
        for name in ("__init__.py", "prices.py"):
            (tree / "shop" / name).symlink_to(top / "shop" / name)
        (site / "__editable__.shop-1.0.pth").write_text(f"{tree}\n")
    elif layout == "editables":
        project(top, "lib")
        (site / "_shop_redirector.py").write_text(
            REDIRECTOR.format(mapping={"shop": f"{top}/lib/shop/__init__.py"})
        )
        (site / "_shop.pth").write_text("import _shop_redirector\n")
    elif layout == "meson":
        project(top, "src")
        (site / "_shop_loader.py").write_text(MESON.format(build=f"{top}/build/cp311"))
        (site / "_shop.pth").write_text("import _shop_loader\n")
    elif layout == "scikit-build":
        project(top, "src")
        body = FLAT_FINDER.format(mapping={"shop": f"{top}/src/shop"}, how="insert(0, _EditableFinder)")
        (site / "__editable___shop_finder.py").write_text(body)
        (site / "_shop.pth").write_text(
            "import __editable___shop_finder; __editable___shop_finder.install()\n"
        )


EXPECTED = {
    "setuptools src": ("src",),
    "hatchling src": ("src",),
    "hatchling flat": (".",),
    "setuptools flat": (".",),
    "setuptools flat strict": (".",),
    "editables": ("lib",),
}
COLLECT = "import json; from pytest_agentflow.adapters import import_roots; print(json.dumps(import_roots.collect_facts()))"
WHERE = "import shop.prices; print(shop.prices.where())"


def python(
    site: Path, code: str, cwd: Path, roots: tuple[Path, ...] = (), flags: tuple[str, ...] = ("-P",)
) -> str:
    """An interpreter whose site directory is `site`: path files there are processed as in a virtual environment."""
    start = f"import site, sys; site.addsitedir({str(site)!r}); sys.meta_path[:] = [f for f in sys.meta_path if 'agentflow' not in repr(f)]\n"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, roots))}
    done = subprocess.run(
        [sys.executable, *flags, "-s", "-c", start + code],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("layout", list(EXPECTED))
def test_the_workspaces_code_runs_and_without_the_roots_the_original_would(
    layout: str, tmp_path: Path
) -> None:
    top, workspace = tmp_path / "project é", tmp_path / "workspace"
    install(layout, top, tmp_path / "site")
    subprocess.run(["cp", "-r", top, workspace], check=True)
    facts = json.loads(python(tmp_path / "site", COLLECT, top))
    found = from_facts(top, top, facts)
    assert (found.roots, found.problems) == (EXPECTED[layout], ())
    naive = python(tmp_path / "site", WHERE, workspace)
    assert not naive.startswith(str(workspace)), "the layout would have tested the original"
    roots = tuple(workspace / root for root in found.roots)
    assert python(tmp_path / "site", WHERE, workspace, roots).startswith(str(workspace))


def test_a_finder_that_knows_only_its_build_directory_is_a_named_problem(tmp_path: Path) -> None:
    """meson-python's: it would build again if it were asked for a module."""
    install("meson", tmp_path / "p", tmp_path / "site")
    found = from_facts(
        tmp_path / "p", tmp_path / "p", json.loads(python(tmp_path / "site", COLLECT, tmp_path / "p"))
    )
    assert len(found.problems) == 1 and "import hook" in found.problems[0] and "shop" in found.problems[0]


def test_a_finder_that_comes_before_the_path_is_a_named_problem(tmp_path: Path) -> None:
    install("scikit-build", tmp_path / "p", tmp_path / "site")
    found = from_facts(
        tmp_path / "p", tmp_path / "p", json.loads(python(tmp_path / "site", COLLECT, tmp_path / "p"))
    )
    assert found.roots == ("src",)
    assert [p for p in found.problems if "import hook" in p and "shop" in p]


def test_python_m_pytest_puts_its_directory_first_and_so_does_a_workspace(tmp_path: Path) -> None:
    project(tmp_path / "p", "")
    (tmp_path / "site").mkdir()
    facts = json.loads(python(tmp_path / "site", COLLECT, tmp_path / "p", flags=()))
    assert from_facts(tmp_path / "p", tmp_path / "p", facts).roots == (".",)
    facts = json.loads(python(tmp_path / "site", COLLECT, tmp_path / "p"))
    assert from_facts(tmp_path / "p", tmp_path / "p", facts).roots == ()


@pytest.mark.parametrize(
    ("path", "mappings", "prefixes", "expected"),
    [
        (["/p/src", "/usr/lib/python3"], {}, [], ("src",)),
        (["/p", "/p/src", "/p"], {}, [], (".", "src")),
        ([""], {}, [], ("sub",)),
        (["/p/.venv/lib/python3.12/site-packages", "/p/.venv/bin"], {}, ["/p/.venv"], ()),
        (["/p/.tox/py/lib/python3.12/site-packages"], {}, [], ()),
        (["/p"], {}, ["/p"], (".",)),
        (["/project-two/src"], {}, [], ()),
        (
            [],
            {"a.b": "/p/src/a/b", "mod": "/p/lib/mod.py", "pkg": "/p/x/pkg/__init__.py"},
            [],
            ("src", "lib", "x"),
        ),
        ([], {"renamed": "/p/other"}, [], ()),
        ([], {"ext._core": "/p/src/ext/_core.cpython-312.so", "far": "/q/far"}, [], ("src",)),
    ],
)
def test_roots_follow_from_path_and_mappings_alone(
    path: list[str], mappings: dict[str, str], prefixes: list[str], expected: tuple[str, ...]
) -> None:
    assert find("/p", path, mappings, "/p/sub", prefixes=prefixes) == expected


def test_a_mapping_to_another_name_and_a_plain_copy_are_named_problems() -> None:
    facts = {
        "path": [], "mappings": {"shop": "/p/source"}, "prefixes": [], "first": [], "link_trees": {}, "copies": {"other": "/p/sub", "far": "/q"},
    }  # fmt: skip
    problems = from_facts("/p", "/p", facts).problems
    assert len(problems) == 2 and "`shop`" in problems[0] and "pip install -e /p/sub" in problems[1]


def test_files_that_would_hide_the_standard_library_are_found(tmp_path: Path) -> None:
    for name in ("types.py", "json/__init__.py", "queue/readme.txt", "shop.py", "src/random.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert standard_library_shadows(tmp_path, (".", "src", "none")) == ("json", "types.py", "src/random.py")
