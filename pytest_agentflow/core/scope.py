"""Which paths may a patch touch, and why not the others?"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

# What decides how tests are found, run or imported. A user may open these by naming them in a glob of the scope.
_TESTS = ("tests/", "test/", "test_*.py", "*_test.py", "conftest.py")
_CONFIGURATION = (
    "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py", "noxfile.py",
    "Makefile", "Dockerfile", "requirements*.txt", "constraints*.txt", "uv.lock", "poetry.lock", "Pipfile*", ".coveragerc",
    "MANIFEST.in", ".pre-commit-config.yaml", ".gitlab-ci.yml", ".github/", ".ci/", ".circleci/",
)  # fmt: skip
# What no patch of an agent may carry, whatever the user opened: it would run in the harness, or hide from the diff.
_NEVER = {
    ".git/": "git's own files", ".gitmodules": "git's own files", ".gitattributes": "git's own files", ".gitconfig": "git's own files",
    ".hg/": "version control", ".agentflow/": "the harness's own files", "__pycache__/": "compiled code", "*.pyc": "compiled code",
    "*.pyo": "compiled code", "*.so": "compiled code", "*.pyd": "compiled code", "*.dll": "compiled code", "*.dylib": "compiled code",
    "*.pth": "runs at interpreter start", "sitecustomize.py": "runs at interpreter start", "sitecustomize/": "runs at interpreter start",
    "usercustomize.py": "runs at interpreter start", "usercustomize/": "runs at interpreter start", "*.dist-info/": "entry points",
    "*.egg-info/": "entry points", "*.egg-link": "entry points", "entry_points.txt": "entry points", ".env": "secrets",
    ".envrc": "secrets", "pyvenv.cfg": "the interpreter's own files", ".venv/": "the interpreter's own files",
    "venv/": "the interpreter's own files", "site-packages/": "the interpreter's own files", ".tox/": "the interpreter's own files",
    ".nox/": "the interpreter's own files", "._pth": "runs at interpreter start", "*._pth": "runs at interpreter start",
}  # fmt: skip
# A new top-level module of such a name would be imported instead of the real one.
_TOOLS = frozenset(
    [
        "pytest",
        "_pytest",
        "pluggy",
        "iniconfig",
        "packaging",
        "pygments",
        "execnet",
        "xdist",
        "coverage",
        "pytest_cov",
        "pytest_agentflow",
        "hypothesis",
        "pytest_asyncio",
        "anyio",
        "pytest_timeout",
        "pytest_mock",
        "_pytest_mock",
        "py",
        "attr",
        "attrs",
        "exceptiongroup",
        "tomli",
        "typing_extensions",
        "importlib_metadata",
        "numpy",
        "setuptools",
        "pkg_resources",
        "pip",
    ]
)


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob as git users write it: `*` stays inside one segment, `**` crosses them, a bare name matches at any depth."""
    parts = []
    for token in re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?)", glob):
        parts.append(
            {"**/": r"(?:.*/)?", "/**": r"/.*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}.get(
                token, re.escape(token)
            )
        )
    return re.compile("".join(parts) + r"\Z")


def matches(path: str, glob: str) -> bool:
    """Whether `path` (relative, POSIX) falls under `glob`; a glob that names a directory holds for all beneath it."""
    glob = glob.removeprefix("./").rstrip("/") or "**"
    return bool(_pattern(glob).match(path) or _pattern(glob + "/**").match(path))


def _named(path: str, pattern: str) -> bool:
    """Whether a segment of `path` has this name; `name/` means a directory, else the file itself or a directory."""
    segments = path.casefold().split("/")
    if "/" in pattern.rstrip("/"):
        return path.casefold().startswith(pattern)
    looked = segments[:-1] if pattern.endswith("/") else segments
    return any(_pattern(pattern.rstrip("/").casefold()).match(s) for s in looked)


@dataclass(frozen=True, slots=True)
class ScopePolicy:
    """Globs that may be edited, and globs that may not although they lie inside."""

    globs: tuple[str, ...] = ("**",)
    protected: tuple[str, ...] = ()

    @classmethod
    def of(cls, globs: Iterable[str], protected: Iterable[str] = ()) -> ScopePolicy:
        """What an agent may edit that is told these globs; everything but what is always closed where there are none."""
        return cls(tuple(globs) or cls().globs, tuple(protected))

    def refuses(self, path: str, *, new: bool = False, installed: frozenset[str] = frozenset()) -> str | None:
        """Why a patch may not touch `path`, or None. `new` says that the base does not have it; `installed` are names of
        modules that a new one must not stand before.
        """
        if path.startswith("/") or ".." in path.split("/") or "\\" in path or "\0" in path:
            return "not a plain relative path"
        for pattern, why in _NEVER.items():
            if _named(path, pattern):
                return f"never part of a patch: {why}"
        for glob in self.protected:
            if matches(path, glob):
                return f"protected: {glob}"
        opening = [glob for glob in self.globs if matches(path, glob)]
        if not opening:
            return f"outside the scope {', '.join(self.globs)}"
        for patterns, kind in ((_TESTS, "decides what is tested"), (_CONFIGURATION, "configuration")):
            if any(_named(path, p) for p in patterns) and not _opened(opening, patterns, path):
                return f"{kind}; open it with --agent-scope if that is meant"
        return self._shadows(path, opening, installed) if new else None

    def opens_tests(self, path: str) -> bool:
        """Whether the user's own globs name this test file or its directory."""
        return _opened([g for g in self.globs if matches(path, g)], _TESTS, path)

    def _shadows(self, path: str, opening: list[str], installed: frozenset[str]) -> str | None:
        for glob in opening:
            root = re.split(r"[*?]", glob.removeprefix("./"))[0]
            inside = path[len(root) :] if path.startswith(root) else path
            name = inside.split("/")[0].partition(".")[0]
            code = inside.endswith(".py")
            if name in _TOOLS or name in sys.stdlib_module_names or (code and name in installed):
                return f"a new top-level module {name!r} would be imported instead of the real one"
        return None


def _opened(globs: list[str], patterns: tuple[str, ...], path: str) -> bool:
    """Whether a glob itself names what is protected, as `tests/**` and `a/test_b.py` do and `**` does not."""
    for glob in globs:
        static = "/".join(s for s in glob.split("/") if s not in ("**", "*"))
        if glob == path or any(_named(static, p) or _named(static + "/x", p) for p in patterns if static):
            return True
    return False
