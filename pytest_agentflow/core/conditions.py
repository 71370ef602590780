"""Under which circumstances does one execution of tests happen?

Everything that a test may depend on without saying so, and that the harness can hold still or move. Two executions with
equal conditions and equal order have identical inputs as far as the harness can make them identical.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is held still. `None` means: left as the machine has it."""

    hash_seed: int = 0  # needs a process of its own: a fork cannot change it
    seed: int | None = None  # of `random` and of numpy's global generator
    entropy: int | None = None  # os.urandom becomes a stream with this seed: secrets, uuid4, SystemRandom
    zone: str | None = None  # TZ
    clock: float | None = None  # the wall clock starts at this epoch second, and ticks on
    burners: int = 0  # CPU hogs on the one core that the tests get
    jitter: int | None = None  # new threads start late, by up to a tenth of a second; the seed of the delays
    disk: bool = False  # and one process that writes and syncs

    def to_json(self) -> dict[str, object]:
        """Only what differs from the default, so that a command line stays short."""
        blank = Conditions()
        return {name: value for name, value in asdict(self).items() if value != getattr(blank, name)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Conditions:
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})  # type: ignore[arg-type]

    def words(self) -> str:
        """For people: `random seed 3, TZ=UTC+5`."""
        parts = []
        if self.hash_seed:
            parts.append(f"PYTHONHASHSEED={self.hash_seed}")
        if self.seed is not None:
            parts.append(f"random seed {self.seed}")
        if self.entropy is not None:
            parts.append(f"entropy stream {self.entropy}")
        if self.zone is not None:
            parts.append(f"TZ={self.zone}")
        if self.clock is not None:
            parts.append(f"clock from {self.clock:.0f}")
        if self.burners:
            parts.append(f"{self.burners} CPU hogs")
        if self.jitter is not None:
            parts.append(f"threads delayed (seed {self.jitter})")
        if self.disk:
            parts.append("disk load")
        return ", ".join(parts) or "as usual"
