/* How a vector-Jacobian product is shared out: a number of slices that depends on the problem alone, each with sums of
 * its own that are added in order, so that gradients do not depend on the number of threads. Only the table's
 * gradient, which may be large, has one copy per thread. */
#ifndef NANOBRAG_SLICES_H
#define NANOBRAG_SLICES_H

#include <stdlib.h>

#include "lattice_vjp_block.h"

struct share {
    int64_t slices, blocks; /* blocks of LANES */
    int threads;
    int64_t table_length; /* 0 when its gradient is not wanted */
    double *tables;       /* [threads, table_length] */
    double *cells;        /* [slices, M, 3, 3] */
    struct number_lanes *numbers; /* [slices] */
    double *more;         /* [slices, more_length]: the caller's */
    int64_t more_length, orientations;
    int wants_numbers;            /* whether gradients by the lattice parameters are */
};

#define LARGEST_COPIES ((int64_t)1 << 27) /* doubles in all copies of the table's gradient, unless two need more */

/* Returns 0, or 1 when there is no memory. */
static int open_share(struct share *s, const int64_t *config, int64_t blocks, int64_t more_length,
                      const struct lattice_gradients *wanted) {
    const int wants_table = wanted->table != 0;
    const int64_t small = 9 * config[ORIENTATIONS] + more_length;
    s->orientations = config[ORIENTATIONS];
    s->wants_numbers = wanted->lattice != 0;
    s->more_length = more_length;
    s->blocks = blocks;
    s->slices = ((int64_t)1 << 22) / small;
    s->slices = s->slices < 8 ? 8 : s->slices > 64 ? 64 : s->slices;
    s->slices = s->slices > s->blocks ? s->blocks : s->slices;
    s->threads = (int)config[THREADS];
    s->table_length = wants_table ? config[SIZE_H] * config[SIZE_K] * config[SIZE_L] + 1 : 0;
    if (wants_table) {
        int64_t most = LARGEST_COPIES / s->table_length;
        most = most < 2 ? 2 : most;
        s->threads = s->threads > most ? (int)most : s->threads;
    }
    s->cells = calloc((size_t)(s->slices * 9 * s->orientations + 1), sizeof(double));
    s->numbers = calloc((size_t)s->slices + 1, sizeof(struct number_lanes));
    s->more = calloc((size_t)(s->slices * more_length + 1), sizeof(double));
    s->tables = calloc((size_t)(s->threads * s->table_length + 1), sizeof(double));
    return !(s->cells && s->numbers && s->more && s->tables);
}

static void close_share(struct share *s) {
    free(s->cells);
    free(s->numbers);
    free(s->more);
    free(s->tables);
}

INLINE int64_t slice_start(const struct share *s, int64_t slice) { return s->blocks * slice / s->slices; }

INLINE struct lattice_slice slice_of(const struct share *s, int64_t slice, int thread) {
    struct lattice_slice out;
    out.cells = s->cells + slice * 9 * s->orientations;
    out.table = s->table_length ? s->tables + thread * s->table_length : 0;
    out.wants_numbers = s->wants_numbers;
    memset(&out.numbers, 0, sizeof out.numbers);
    return out;
}

/* Add the lattice's gradients of all slices to `out`, in their order. */
static void gather(const struct share *s, const struct lattice_inputs *in, const struct lattice_gradients *out) {
    for (int64_t slice = 0; slice < s->slices; slice++) {
        struct shape_numbers totals = number_totals(s->numbers + slice);
        if (s->wants_numbers)
            shape_numbers_vjp((int)in->config[SHAPE], (int)in->config[EXACT_RADIUS], in->lattice, &totals,
                              out->lattice);
        for (int64_t i = 0; i < 9 * s->orientations; i++) out->cells[i] += s->cells[slice * 9 * s->orientations + i];
    }
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t i = 0; i < s->table_length; i++)
        for (int thread = 0; thread < s->threads; thread++) out->table[i] += s->tables[thread * s->table_length + i];
}

#endif
