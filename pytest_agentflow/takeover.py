"""How does the user's pytest process hand over to a clean controller, with the key but without project code?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.adapters import import_roots
from pytest_agentflow.agents import registry
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.settings import OPTIONS, Settings, resolve, split_arguments

SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
# What tests may see of the user's environment. Everything else needs --agent-env.
ALLOWED = (
    "PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "PYTEST_ADDOPTS", "PYTEST_PLUGINS",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "CI", "DJANGO_SETTINGS_MODULE", "LD_LIBRARY_PATH", "PYTHONUTF8", "PYTHONIOENCODING",
)  # fmt: skip
_BOOTSTRAP = (
    "import sys; sys.path[:0] = {paths!r}; from pytest_agentflow.controller import main; sys.exit(main({fd}))"
)


def take_over(config: pytest.Config) -> int:
    """Start the controller, wait for it, and return its exit code."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(
            in_=True
        )  # the controller speaks to the terminal itself, and may ask there
    sys.stdout.flush()
    try:
        request = handover(config)
    except AgentflowError as error:
        print(f"agentflow: {error}", file=sys.stderr)  # noqa: T201 - no terminal reporter exists yet
        return error.exit_code
    reader, writer = os.pipe()
    command = [sys.executable, "-I", "-c", _BOOTSTRAP.format(paths=_import_path(), fd=reader)]
    hidden = {*SECRETS, *request["secrets"]}
    environment = {
        k: v for k, v in os.environ.items() if k not in hidden and not k.startswith("PYTEST_XDIST")
    }
    process = subprocess.Popen(command, pass_fds=(reader,), env=environment)
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        json.dump(request, pipe)
    code = _wait_for(process)
    return 2 if code < 0 else code


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait, and pass on what asks us to end; the controller cleans up, and hears a terminal's Ctrl-C by itself."""
    if not hasattr(signal, "sigtimedwait"):  # then nobody can tell where a SIGINT comes from
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        return process.wait()
    heard = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    while process.poll() is None:
        told = signal.sigtimedwait(heard, 1.0)
        if told is None or told.si_signo == signal.SIGCHLD:
            continue
        # A process sent it; a terminal's, from the kernel, the controller hears too.
        ours_alone = told.si_code <= 0
        if ours_alone or told.si_signo == signal.SIGTERM:
            process.terminate()
    return process.returncode


def _import_path() -> list[str]:
    """Where this package and its dependencies are, for an interpreter that ignores PYTHONPATH and the user site."""
    own = str(Path(__file__).resolve().parent.parent)
    return [own, *(p for p in sys.path if p.endswith(("site-packages", "dist-packages")))]


def handover(config: pytest.Config) -> dict[str, Any]:
    """Everything the controller must know, as JSON. Raises AgentflowError for a bad option."""
    rest, ours = split_arguments([str(a) for a in config.invocation_params.args])
    ini = {option.dest: config.getini(option.dest) for option in OPTIONS}
    ini = {dest: value for dest, value in ini.items() if value not in (None, "", [])}
    table = _table(config)
    settings = resolve(ours, ini, table)
    manager = config.pluginmanager
    return {
        "settings": settings.to_json(),
        "given": ours,
        "argv": [str(a) for a in config.invocation_params.args],
        "arguments": rest,
        "rootdir": str(config.rootpath),
        "inifile": str(config.inipath) if config.inipath else None,
        "invocation_dir": str(config.invocation_params.dir),
        "python": sys.executable,
        "plugins": sorted(name for name, plugin in manager.list_name_plugin() if plugin is not None),
        "numprocesses": getattr(config.known_args_namespace, "numprocesses", None),
        "pass_threshold": getattr(config.known_args_namespace, "pass_threshold", None),
        "quarantine": getattr(config.known_args_namespace, "quarantine", None),
        "selection": list(getattr(config.known_args_namespace, "file_or_dir", [])),
        "import_facts": import_roots.collect_facts(),
        "env": child_env(os.environ, settings.agent_env),
        "secrets": {name: os.environ[name] for name in _secret_names(settings) if os.environ.get(name)},
        "terminal": sys.stdout.isatty(),
        "verbosity": int(getattr(config.known_args_namespace, "verbose", 0) or 0),
        "color": getattr(config.known_args_namespace, "color", "auto"),
    }


def child_env(environ: Mapping[str, str], extra: tuple[str, ...]) -> dict[str, str]:
    """The part of the user's environment that tests may see. A secret is refused even when it is named."""
    names = set(ALLOWED) | set(extra)
    return {k: v for k, v in environ.items() if k in names and k not in SECRETS}


def _secret_names(settings: Settings) -> tuple[str, ...]:
    """Credentials that the controller must hold: the model's, and what configured command agents name."""
    return (*SECRETS, *sorted(registry.secret_names(settings.sections.get("agents", {}))))


def _table(config: pytest.Config) -> dict[str, Any]:
    """`[tool.agentflow]` of the rootdir's pyproject.toml, else of the nearest one at or above where the user stands."""
    where = config.invocation_params.dir
    for place in dict.fromkeys([config.rootpath, where, *where.parents]):
        path = place / "pyproject.toml"
        if path.is_file():
            try:
                with path.open("rb") as stream:
                    table = tomllib.load(stream).get("tool", {}).get("agentflow")
            except tomllib.TOMLDecodeError as error:
                raise AgentflowError(
                    f"{path} is not valid TOML: {error}.", "Mend it and start again."
                ) from None
            if table is not None:
                return dict(table)
        if (place / ".git").exists() and place != config.rootpath:
            break
    return {}
