"""Which names and signatures does an installed package have now? Asked of the project's own interpreter, in the sandbox."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

Probe = Callable[[Sequence[str], Sequence[str]], Mapping[str, Any]]  # modules, names wanted

# Other people's code runs there, never here. Per module asked about: its names, where in its package (and in the commonest
# modules of the standard library) each name lives, the members of its classes, the parameters of what can be called, and what
# the functions asked for return when that is all they do.
PROBE = r"""
import ast, builtins, importlib, inspect, json, pkgutil, sys, textwrap, warnings
warnings.simplefilter("ignore")
STANDARD = ("abc argparse asyncio base64 bisect builtins calendar collections collections.abc configparser contextlib copy"
            " csv dataclasses datetime decimal enum errno fnmatch fractions functools glob hashlib html html.parser"
            " http.client http.cookies importlib importlib.metadata importlib.resources importlib.util inspect io itertools"
            " json math numbers operator os os.path pathlib queue random re secrets shlex shutil statistics string"
            " subprocess sysconfig tempfile textwrap threading time types typing unicodedata urllib.error urllib.parse"
            " urllib.request uuid warnings weakref xml.etree.ElementTree zoneinfo").split()
def load(name):
    try:
        return importlib.import_module(name)
    except BaseException:
        return None
def describe(found, name, value):
    try:
        found["parameters"].setdefault(name, list(inspect.signature(value).parameters))
    except (TypeError, ValueError):
        pass
# What a function of one statement returns, with the modules that its other names come from.
def inlined(module, value):
    try:
        function = inspect.unwrap(value)
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
        simple = not (tree.args.vararg or tree.args.kwarg) and len(body) == 1 and isinstance(body[0], ast.Return)
        if not simple or body[0].value is None:
            return None
        params = [a.arg for a in tree.args.posonlyargs + tree.args.args + tree.args.kwonlyargs]
        homes = {}
        for node in ast.walk(body[0].value):
            if isinstance(node, ast.Name) and node.id not in params and not hasattr(builtins, node.id):
                found = function.__globals__[node.id]
                public = getattr(module, node.id, None) is found
                homes[node.id] = module.__name__ if public else found.__module__
        return {"params": params, "value": ast.unparse(body[0].value), "homes": homes}
    except (AttributeError, IndexError, KeyError, OSError, SyntaxError, TypeError, ValueError):
        return None
told = {}
wanted = set(sys.argv[2:])
standard = {}
for where in STANDARD:
    part = load(where)
    for n in wanted & set(vars(part) if part else ()):
        standard.setdefault(n, []).append(where)
for name in sys.argv[1].split(","):
    root = name.partition(".")[0]
    module = load(name) or load(name.rpartition(".")[0] or root) or load(root)
    found = {"names": [], "moved": dict(standard), "parameters": {}, "classes": {}, "bases": {}, "modules": [], "real": {}}
    found["inlined"] = {}
    told[name] = found
    if module is None:
        continue
    found["real"] = {}
    for n, value in list(vars(module).items()):
        home, own = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if isinstance(home, str) and isinstance(own, str) and home.partition(".")[0] in sys.stdlib_module_names:
            if home != "builtins" and hasattr(sys.modules.get(home), own):
                found["real"][n] = [home, own]  # of the standard library, and here only because it was imported
    found["inlined"] = {n: inlined(module, getattr(module, n)) for n in wanted if hasattr(module, n)}
    found["names"] = [n for n in dir(module) if not inspect.ismodule(getattr(module, n, None))]
    walked = [(module.__name__, module)]
    package = sys.modules.get(root)
    paths = getattr(package, "__path__", [])
    for info in list(pkgutil.walk_packages(paths, root + ".", onerror=lambda n: None))[:200]:
        if "test" not in info.name and "__main__" not in info.name and (part := load(info.name)) is not None:
            walked.append((info.name, part))
    moved = {}
    for where, part in walked:
        for n, value in list(vars(part).items()):
            if n.startswith("__") or inspect.ismodule(value):
                continue
            home = getattr(value, "__module__", None)
            places = moved.setdefault(n, [])
            if isinstance(home, str) and home.partition(".")[0] not in (root, "builtins"):
                places.append(home)  # another package's, which this one only used
            places.append(where)
            describe(found, n, value)
            if inspect.isclass(value):
                found["classes"][n] = [m for m in dir(value) if not m.startswith("__")]
                found["bases"][n] = [b.__name__ for b in value.__mro__[:-1]]
                for m, member in list(vars(value).items()):
                    describe(found, n + "." + m, member)
                    describe(found, m, member)
    for n, places in standard.items():
        moved[n] = [*moved.get(n, []), *places]
    found["moved"] = {n: list(dict.fromkeys(p)) for n, p in moved.items()}
    found["modules"] = [where for where, _ in walked]
print(json.dumps(told))
"""


def sandboxed_probe(start: Callable[..., Any], python: str, env: Mapping[str, str]) -> Probe:
    """Ask the project's own interpreter, inside the attempt's sandbox; no answer is an answer too."""

    @cache
    def ask(modules: tuple[str, ...], wanted: tuple[str, ...]) -> Mapping[str, Any]:
        argv = [python, "-c", PROBE, ",".join(modules), *wanted]
        try:
            process = start(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            output, _ = process.communicate(timeout=60)
            told: Mapping[str, Any] = json.loads(output.splitlines()[-1])
        except (OSError, ValueError, IndexError, AttributeError, subprocess.SubprocessError):
            return {}
        return told

    return lambda modules, wanted: ask(tuple(modules), tuple(wanted))
