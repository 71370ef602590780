"""pytest's entry point: options, takeover, session features. Wiring only, and nothing heavy while idle."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any, Literal

import pytest

from pytest_agentflow.settings import OPTIONS

_TAKEOVER = ("agent_fix", "agent_plan", "agent_resume", "flaky_triage")
# Asked before any conftest can say so. That the module is loaded says nothing: whoever uses our code has loaded it.
_CHILD = bool(getattr(sys.modules.get("pytest_agentflow.child.session"), "PROCESSES", ()))
_SESSION_FEATURES = {"pass_threshold": "gate", "quarantine": "quarantine"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """One pytest option and one ini key per knob."""
    group = parser.getgroup("agentflow", "agentflow: verified fixes, flaky triage, an honest gate")
    actions: dict[str, dict[str, Any]] = {
        "flag": {"action": "store_true", "default": False},
        "value": {"action": "store", "default": None},
        "list": {"action": "append", "default": None},
        "optional": {"action": "store", "nargs": "?", "const": "", "default": None},
    }
    for option in OPTIONS:
        shape = dict(actions[option.kind])
        if option.kind != "flag":
            shape["metavar"] = option.metavar or "VALUE"
        default = f" (default: {option.default})" if option.default not in (None, False, ()) else ""
        group.addoption(f"--{option.name}", dest=option.dest, help=option.help + default, **shape)
        kind: Literal["args", "string"] = "args" if option.kind == "list" else "string"
        parser.addini(option.dest, option.help, type=kind, default=None)
    for name in _SESSION_FEATURES.values():
        _session_feature(name).add_options(group)


def _session_feature(name: str) -> Any:
    import importlib

    return importlib.import_module(f"pytest_agentflow.sessions.{name}")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Hand over to a clean controller process before any conftest has run, and exit with its code."""
    if _CHILD or hasattr(early_config, "workerinput"):
        return
    options = early_config.known_args_namespace
    if any(getattr(options, name, None) not in (None, False) for name in _TAKEOVER) and not options.help:
        from pytest_agentflow.takeover import take_over

        raise SystemExit(take_over(early_config))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """A session that should be gated is never green without having been judged."""
    code = yield
    for name in _SESSION_FEATURES.values():
        final = getattr(config.pluginmanager.get_plugin(f"agentflow-{name}"), "final", None)
        code = final(int(code or 0)) if final is not None else code
    return code


def pytest_configure(config: pytest.Config) -> None:
    """Register the features of an ordinary session that were asked for; a child's session is judged by its controller."""
    if _CHILD:
        return
    for dest, name in _SESSION_FEATURES.items():
        if config.getoption(dest, None) is not None:
            config.pluginmanager.register(_session_feature(name).create(config), f"agentflow-{name}")
