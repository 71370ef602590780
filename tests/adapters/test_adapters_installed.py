"""A tool whose files were changed after its installation is noticed."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from pytest_agentflow.adapters.installed import altered


def test_only_a_changed_or_missing_file_of_a_tool_is_named(tmp_path: Path) -> None:
    (tmp_path / "pluggy").mkdir()
    (tmp_path / "pluggy-1.dist-info").mkdir()
    lines = []
    for name in ("pluggy/a.py", "pluggy/b.py", "pluggy/c.py"):
        (tmp_path / name).write_text(f"# {name}\n")
        digest = (
            base64.urlsafe_b64encode(hashlib.sha256((tmp_path / name).read_bytes()).digest())
            .rstrip(b"=")
            .decode()
        )
        lines.append(f"{name},sha256={digest},10")
    (tmp_path / "pluggy-1.dist-info/RECORD").write_text("\n".join([*lines, "pluggy-1.dist-info/RECORD,,"]))
    assert altered([tmp_path]) == []
    (tmp_path / "pluggy/a.py").write_text("# owned\n")
    (tmp_path / "pluggy/b.py").unlink()
    assert altered([tmp_path]) == ["pluggy/a.py", "pluggy/b.py"]
