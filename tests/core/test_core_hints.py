"""An exception's message says which name is wrong, and where."""

from __future__ import annotations

from pytest_agentflow.core.hints import Hint, may_be_upgrade, read


def test_an_exception_is_read_for_what_it_names() -> None:
    def hint(message: str) -> tuple[str, str, str] | None:
        found = read(message)
        return (found.kind, found.name, found.where) if found else None

    assert hint("module 'numpy' has no attribute 'float'") == ("attribute", "float", "numpy")
    assert hint("'Client' object has no attribute 'get'") == ("attribute", "get", "Client")
    assert hint("cannot import name 'Mapping' from 'collections' (/x/y.py)") == (
        "import",
        "Mapping",
        "collections",
    )
    assert hint("No module named 'lib.old'") == ("module", "lib.old", "lib.old")
    assert hint("Client.fetch() got an unexpected keyword argument 'wait'") == (
        "keyword",
        "wait",
        "Client.fetch",
    )
    assert hint("load() takes 1 positional argument but 2 were given") == ("arguments", "load", "load")
    assert hint("name 'Path' is not defined") == ("name", "Path", "")
    assert hint(r"b'ImportError: cannot import name \'Iterable\' from \'collections\' (/x.py)\n'") == (
        "import",
        "Iterable",
        "collections",
    )
    assert hint("assert 1 == 2") is None


def test_what_a_number_or_none_lacks_was_never_there() -> None:
    said = {w: may_be_upgrade(Hint("attribute", "x", w)) for w in ("int", "NoneType", "Client", "numpy")}
    assert said == {"int": False, "NoneType": False, "Client": True, "numpy": True}
    assert may_be_upgrade(Hint("import", "x", "int"))
