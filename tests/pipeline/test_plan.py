from __future__ import annotations

import pytest

from nanobrag_torch.pipeline.plan import BYTES_PER_PIXEL, BYTES_PER_TERM, CACHE_PIXELS, chunk_pixels


def test_a_chunk_fits_into_the_budget_and_the_cache():
    assert chunk_pixels(10**12, 1, False) == CACHE_PIXELS
    assert chunk_pixels(BYTES_PER_PIXEL * 100, 10**9, False) == 100


def test_without_a_graph_the_number_of_terms_does_not_matter():
    assert chunk_pixels(10**6, 1, False) == chunk_pixels(10**6, 10**6, False)


@pytest.mark.parametrize("terms", [1, 10, 1000])
def test_a_graph_is_held_for_every_term(terms):
    budget = 10**7
    size = chunk_pixels(budget, terms, True)
    assert size * (BYTES_PER_PIXEL + BYTES_PER_TERM * terms) <= budget or size == 1
    assert size <= chunk_pixels(budget, terms, False)


def test_there_is_always_one_pixel():
    assert chunk_pixels(0, 10**9, True) == chunk_pixels(1, 1, False) == 1
