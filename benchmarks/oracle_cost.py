"""How long does a verdict take beside the plain suite? An accepted and a rejected patch on a suite of about ten seconds."""

from __future__ import annotations

import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fixtures" / "attacks")]

from oracle_cases import case  # noqa: E402

from pytest_agentflow.core.verdict import judge  # noqa: E402
from pytest_agentflow.stages.verify import gather  # noqa: E402


def main():
    from shapes import SHAPES

    shape = SHAPES[0]
    slow = "import time\n\nimport pytest\n\n\n@pytest.mark.parametrize('n', range(100))\ndef test_slow(n):\n    time.sleep(0.1)\n"
    with case({**shape.files, "tests/test_slow.py": slow}) as made:
        print(f"plain suite: {made.seconds:.1f} s")
        for words, new in (("accepted", "return a + b"), ("rejected", "return a * b")):
            attempt = made.attempt(targets=shape.group(made.red, "add"))
            began = time.monotonic()
            evidence = gather(
                attempt, made.patch({shape.source: shape.text.replace("return a - b", new)}), made.context()
            )
            seconds = time.monotonic() - began
            print(
                f"{words}: {judge(evidence).kind}, {seconds:.1f} s, {seconds / made.seconds:.2f} times the plain suite"
            )
            print(
                "   "
                + ", ".join(
                    f"{layer.layer} {layer.seconds:.1f}" for layer in evidence.layers if layer.seconds > 0.05
                )
            )


if __name__ == "__main__":
    main()
