"""Words and small decisions of one seed, and the records that pieces are made of."""

from __future__ import annotations

import random
import textwrap
from dataclasses import dataclass, field

NOUNS = """anchor basket beacon binder bridge bucket candle canyon carton cedar charter cipher clover cobalt comet compass
copper coral cradle crystal delta dial ember engine fabric falcon fennel ferry fiddle flask forest garnet gauge glacier
granite grove harbor hazel helmet hollow indigo island ivory jasmine jigsaw kernel kettle ladder lagoon lantern ledger
lemon lever lilac linen locket lumber magnet maple marble market meadow mirror mosaic nectar nickel oasis olive onyx
orchard otter oyster paddle palette parcel pebble pepper pillar pilot planet plaza pocket portal prairie prism quarry
quartz rafter raven ribbon ripple river rocket saddle saffron satchel shelter signal silver spindle spruce summit sundial
tablet temple thicket thimble timber torch trellis tunnel turbine valley velvet violet walnut willow window winter zephyr
""".split()  # noqa: SIM905
VERBS = """adds applies builds carries checks closes counts covers draws drops fills finds folds gives grows holds joins
keeps lists loads makes marks merges moves names opens packs pairs parses picks prints puts reads renders rounds saves
scans sends shows sorts splits stacks starts stores takes tells tracks trims turns updates uses walks wraps writes
""".split()  # noqa: SIM905


@dataclass
class Case:
    """One generated test. `body` is the function's body; `truth` what the tool should find out."""

    body: str
    category: str = "stable"
    p: float | None = None
    args: str = ""
    imports: tuple[str, ...] = ()
    decorator: str = ""
    culprits: list[list[int]] = field(
        default_factory=list
    )  # alternatives of sets, as positions within the piece
    partners: list[int] = field(default_factory=list)
    path: str = ""
    group: str = ""
    name: str = ""
    nodeid: str = ""


@dataclass
class Piece:
    """Cases that belong together, in the order in which they must appear, with what they share."""

    cases: list[Case]
    helper: str = ""  # source of a module of the package
    conftest: str = ""


class Maker:
    """Words and small decisions of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"flaky project {seed}")
        self.nouns = self.random.sample(NOUNS, len(NOUNS))
        self.used = 0
        self.package = f"{self.word()}_{self.word()}"
        self.helpers: dict[str, str] = {}
        self.conftest: list[str] = []

    def word(self) -> str:
        self.used += 1
        base = self.nouns[self.used % len(self.nouns)]
        return base if self.used < len(self.nouns) else f"{base}{self.used // len(self.nouns)}"

    def helper(self, source: str) -> str:
        """Put `source` into a module of the package; give its name back."""
        name = self.word()
        self.helpers[name] = textwrap.dedent(source).strip() + "\n"
        return name

    def test_name(self) -> str:
        return f"test_{self.word()}_{self.random.choice(VERBS)}_{self.random.choice(NOUNS)}"

    def pick(self, *options: object) -> object:
        return self.random.choice(options)
