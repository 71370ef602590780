"""What does this machine's organisation allow? Files outside every repository, so that no project can loosen them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pytest_agentflow.core.consent import Organisation, read_organisation, strictest
from pytest_agentflow.errors import AgentflowError

PLACES = (Path("/etc/agentflow/organisation.toml"),)
VARIABLE = "AGENTFLOW_ORGANISATION"


def load(environ: Mapping[str, str], places: tuple[Path, ...] = PLACES) -> Organisation:
    """The strictest of the machine's file and the one that the environment names; a named file must exist."""
    found = [place for place in places if place.is_file()]
    if environ.get(VARIABLE):
        found.append(Path(environ[VARIABLE]))
    return strictest([_read(place) for place in found])


def _read(place: Path) -> Organisation:
    try:
        table = tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AgentflowError(
            f"the organisation's file {place} cannot be read: {error}",
            "no agent runs until it can: its limits are not known",
        ) from error
    return read_organisation(table, str(place))
