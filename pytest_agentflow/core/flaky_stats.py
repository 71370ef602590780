"""How often does a test fail, how sure is that, and what does it do to the suite?

Rates are of failures under plain conditions. Posterior: Beta(failures + 1/2, passes + 1/2), Jeffreys' prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def interval(failures: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Jeffreys' equal-tailed interval; closed at 0 or 1 where nothing or everything failed."""
    if runs == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    a, b = failures + 0.5, runs - failures + 0.5
    low = 0.0 if failures == 0 else beta_quantile(tail, a, b)
    high = 1.0 if failures == runs else beta_quantile(1 - tail, a, b)
    return low, high


def posterior_mean(failures: int, runs: int) -> float:
    return (failures + 0.5) / (runs + 1)


def bound_without_failure(runs: int, level: float = 0.95) -> float:
    """After `runs` runs without a failure: p is below this with the given confidence. Never zero."""
    return 1.0 if runs == 0 else 1 - (1 - level) ** (1 / runs)


def green_runs_needed(p: float, level: float = 0.95) -> int:
    """How many green runs in a row make a fix of a test with failure rate `p` believable."""
    if p >= 1:
        return 1
    return max(1, math.ceil(math.log(1 - level) / math.log1p(-max(p, 1e-6))))


MOST_RUNS = 459  # p = 0.01 at 99 %: a rarer failure than that cannot be judged by running


def runs_to_believe(failures: int, runs: int, level: float = 0.95) -> int:
    """The same from what was seen: a test that failed always, or was measured never to fail, still needs a few runs."""
    p = failures / runs if 0 < failures < runs else posterior_mean(failures, runs)
    return min(MOST_RUNS, green_runs_needed(p, level))


def spurious_red(rates: Sequence[float]) -> float:
    """The chance that at least one of independent causes turns a run red."""
    return 0.0 - math.expm1(sum(math.log1p(-min(r, 1 - 1e-12)) for r in rates))


def after_fixing(rates: Sequence[float], k: int) -> float:
    """The same after the worst `k` causes are gone."""
    return spurious_red(sorted(rates, reverse=True)[k:])


def beta_quantile(q: float, a: float, b: float) -> float:
    """By bisection on the regularised incomplete beta function: 60 halvings are exact to a double's last bits."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if beta_cdf(middle, a, b) < q:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_cdf(x: float, a: float, b: float) -> float:
    """I_x(a, b) by Lentz's continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x > (a + 1) / (a + b + 2):
        return 1 - front * _fraction(1 - x, b, a) / b
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    result = d
    for m in range(1, 400):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 + term * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + term / c
            c = c if abs(c) > tiny else tiny
            result *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return result


def fisher(a: int, b: int, c: int, d: int) -> float:
    """One-sided exact p-value that failures are commoner in the first of two rows: (a failed, b passed), (c, d)."""
    row, column, total = a + b, a + c, a + b + c + d
    if total == 0:
        return 1.0
    return sum(
        math.comb(column, k) * math.comb(total - column, row - k) / math.comb(total, row)
        for k in range(a, min(row, column) + 1)
        if row - k <= total - column
    )
