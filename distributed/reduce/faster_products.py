"""Which of several ways to compare samples with people is the fastest here, by a probe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from distributed.reduce.products import Products
from distributed.statistics.similarity import Singles

PROBED_SAMPLES = 4096
SEEDS, NEAREST = 1024, 16
"""People's floors are as high as they are in a search once so many samples are known."""

NameT = TypeVar("NameT", bound=str)

log = logging.getLogger(__name__)
_chosen: dict[tuple[object, ...], int] = {}
"""Shape and names -> the place of the fastest."""


def faster_products(
    people: Singles, names: Sequence[NameT], open_products: Callable[[NameT], Products]
) -> Products:
    """Those of the products that compare random samples with people (P, d) fastest.

    Asked once in a process for people of one shape. Raises what opening any of them raises.
    """
    key = (people.shape, *names)
    if key in _chosen:
        return open_products(names[_chosen[key]])
    contenders = {name: open_products(name) for name in names}
    samples = _random_samples(people.shape[1])
    seconds = {name: _seconds(products, samples) for name, products in contenders.items()}
    fastest = min(names, key=lambda name: seconds[name])
    _chosen[key] = names.index(fastest)
    times = ", ".join(f"{name} {1000 * spent:.3g} ms" for name, spent in seconds.items())
    log.info("search of %d people: %s (%s for %d samples)", len(people), fastest, times, PROBED_SAMPLES)
    return contenders[fastest]


def _random_samples(d: int) -> Singles:
    rows = np.random.default_rng(0).standard_normal((PROBED_SAMPLES, d), np.float32)
    unit: Singles = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _seconds(products: Products, samples: Singles) -> float:
    """Of one comparison, after one to warm up. What it gives lies with the host: the device is done."""
    floors = products.kth(samples[:SEEDS], NEAREST).astype(np.float32)
    products.compare(samples, floors, 2)
    start = time.perf_counter()
    products.compare(samples, floors, 2)
    return time.perf_counter() - start
