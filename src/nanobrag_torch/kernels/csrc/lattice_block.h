/* The sum over orientations of (F L)^2 for one block of scattering vectors. */
#ifndef NANOBRAG_LATTICE_BLOCK_H
#define NANOBRAG_LATTICE_BLOCK_H

#include "lookup.h"
#ifdef PAIRS
#include "pairs.h"
#endif
#include "shapes.h"

/* Scattering vectors of a block (1/Angstrom). */
struct vectors {
    double x[LANES], y[LANES], z[LANES];
};

/* A lattice problem as a block needs it. */
struct lattice {
    struct lattice_inputs in;
    struct shape_numbers numbers;
    struct shape_numbersf numbersf;
    struct grid grid;
    double common; /* factor of every sum that a block leaves to its caller: F^2 where there is no table */
    int64_t orientations;
    int shape, lookup, single;
};

INLINE struct lattice lattice_of(const struct lattice_inputs *in) {
    struct lattice l;
    l.in = *in;
    l.shape = CHOICE(in->config, SHAPE);
    l.lookup = CHOICE(in->config, LOOKUP);
    l.single = CHOICE(in->config, SINGLE);
    l.orientations = in->config[ORIENTATIONS];
    l.numbers = shape_numbers(l.shape, CHOICE(in->config, EXACT_RADIUS), in->lattice);
    l.numbersf = shape_numbersf(&l.numbers);
    l.grid = grid_of(in->config);
    l.common = 1.0;
    if (l.lookup == CONSTANT) {
        const float *single = (const float *)in->table;
        const double *precise = (const double *)in->table;
        double F = l.single ? (double)single[l.grid.outside] : precise[l.grid.outside];
        l.common = F * F;
    }
    return l;
}

TRICUBIC_BLOCK(tricubic, double)
TRICUBIC_BLOCK(tricubicf, float)

/* h (or k, l) = a.S, its nearest whole number, and what is left. */
INLINE double split(const double *a, double x, double y, double z, double *whole) {
    double h = a[0] * x + a[1] * y + a[2] * z;
    *whole = ceil(h - 0.5);
    return h - *whole;
}

/* h, k, l of one orientation's cell A for every lane. */
INLINE void indices(const double *A, const struct vectors *restrict S, double (*restrict h)[LANES]) {
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double x = S->x[lane], y = S->y[lane], z = S->z[lane];
        h[0][lane] = A[0] * x + A[1] * y + A[2] * z;
        h[1][lane] = A[3] * x + A[4] * y + A[5] * z;
        h[2][lane] = A[6] * x + A[7] * y + A[8] * z;
    }
}

/* Everything in double. */
INLINE void sum_double(int shape, int lookup, const struct lattice *in, struct chosen chosen,
                       const struct vectors *restrict S, double *restrict sum) {
    const double *table = (const double *)in->in.table;
    const struct shape_numbers numbers = in->numbers;
    const struct grid grid = in->grid;
    for (int64_t n = 0; n < chosen.count; n++) {
        const int64_t m = chosen.list ? chosen.list[n] : n;
        const double *A = in->in.cells + 9 * m;
        double F[LANES], h[3][LANES];
        if (lookup == TRICUBIC) {
            indices(A, S, h);
            tricubic(&grid, table, h, F, 0);
        }
        SIMD for (int lane = 0; lane < LANES; lane++) {
            double x = S->x[lane], y = S->y[lane], z = S->z[lane], h, k, l;
            double dh = split(A, x, y, z, &h), dk = split(A + 3, x, y, z, &k), dl = split(A + 6, x, y, z, &l);
            double L = shape == DIFFUSE ? 1.0 : amplitude(shape, dh, dk, dl, &numbers);
            TAP("orientation", m)
            TAP3("hkl_rounded", h, k, l)
            TAP3("hkl_rest", dh, dk, dl)
            TAP("F_latt", L)
            if (lookup == NEAREST) TAP("F_cell", table[place(&grid, h, k, l)])
            if (lookup == TRICUBIC) TAP("F_cell", F[lane])
            if (lookup == NEAREST) L *= table[place(&grid, h, k, l)];
            if (lookup == TRICUBIC) L *= F[lane];
            sum[lane] += shape == DIFFUSE ? L * L * diffuse(h + dh, k + dk, l + dl, dh, dk, dl, &numbers) : L * L;
            TAP("I_orientations", sum[lane])
        }
    }
}

/* Indices and their split in double, from the fractions on in single precision, the sum in double. */
INLINE void sum_single(int shape, int lookup, const struct lattice *in, struct chosen chosen,
                       const struct vectors *restrict S, double *restrict sum) {
    const float *table = (const float *)in->in.table;
    const struct shape_numbersf numbers = in->numbersf;
    const struct grid grid = in->grid;
    for (int64_t n = 0; n < chosen.count; n++) {
        const int64_t m = chosen.list ? chosen.list[n] : n;
        const double *A = in->in.cells + 9 * m;
        float F[LANES], fraction[3][LANES];
        int index[LANES];
        double h[3][LANES];
        if (lookup == TRICUBIC) {
            indices(A, S, h);
            tricubicf(&grid, table, h, F, 0);
        }
        SIMD for (int lane = 0; lane < LANES; lane++) {
            double x = S->x[lane], y = S->y[lane], z = S->z[lane], h, k, l;
            fraction[0][lane] = (float)split(A, x, y, z, &h);
            fraction[1][lane] = (float)split(A + 3, x, y, z, &k);
            fraction[2][lane] = (float)split(A + 6, x, y, z, &l);
            if (lookup == NEAREST) index[lane] = place(&grid, h, k, l);
        }
        SIMD for (int lane = 0; lane < LANES; lane++) {
            float L = amplitudef(shape, fraction[0][lane], fraction[1][lane], fraction[2][lane], &numbers);
            TAP("orientation", m)
            TAP3("hkl_rest", fraction[0][lane], fraction[1][lane], fraction[2][lane])
            TAP("F_latt", L)
            if (lookup == NEAREST) TAP("F_cell", table[index[lane]])
            if (lookup == TRICUBIC) TAP("F_cell", F[lane])
            if (lookup == NEAREST) L *= table[index[lane]];
            if (lookup == TRICUBIC) L *= F[lane];
            F[lane] = L;
        }
        SIMD for (int lane = 0; lane < LANES; lane++) sum[lane] += (double)F[lane] * (double)F[lane];
        TAP("I_orientations", sum[0])
    }
}

#ifdef PAIRS
/* The same with h formed in pairs of singles. */
INLINE void sum_pairs(int shape, int lookup, const struct lattice *in, struct chosen chosen,
                      const struct vectors *restrict S, double *restrict sum) {
    const float *table = (const float *)in->in.table;
    const struct pair *cells = (const struct pair *)in->in.cells;
    const struct shape_numbersf numbers = in->numbersf;
    const struct grid grid = in->grid;
    for (int lane = 0; lane < LANES; lane++) {
        const struct pair at[3] = {pair_of(S->x[lane]), pair_of(S->y[lane]), pair_of(S->z[lane])};
        struct pair total = {0.0f, 0.0f};
        for (int64_t n = 0; n < chosen.count; n++) {
            const int64_t m = chosen.list ? chosen.list[n] : n;
            const struct pair *A = cells + 9 * m;
            float h, k, l;
            float dh = split_pairs(A, at, &h), dk = split_pairs(A + 3, at, &k), dl = split_pairs(A + 6, at, &l);
            float L = amplitudef(shape, dh, dk, dl, &numbers);
            if (lookup == NEAREST) L *= table[place(&grid, h, k, l)];
            const struct pair term = {L * L, fmaf(L, L, -(L * L))};
            total = pair_sum(total, term);
        }
        sum[lane] += (double)total.high + (double)total.low;
    }
}
#define SUM_SINGLE(SHAPE_, LOOKUP_) sum_pairs(SHAPE_, LOOKUP_, l, chosen, S, sum)
#else
#define SUM_SINGLE(SHAPE_, LOOKUP_) sum_single(SHAPE_, LOOKUP_, l, chosen, S, sum)
#endif

#define SUM_CASES(SHAPE_)                                                                          \
    case SHAPE_:                                                                                   \
        if (l->single) {                                                                           \
            if (l->lookup == CONSTANT) SUM_SINGLE(SHAPE_, CONSTANT);                               \
            else if (l->lookup == NEAREST) SUM_SINGLE(SHAPE_, NEAREST);                            \
            else sum_single(SHAPE_, TRICUBIC, l, chosen, S, sum);                                          \
        } else {                                                                                   \
            if (l->lookup == CONSTANT) sum_double(SHAPE_, CONSTANT, l, chosen, S, sum);                    \
            else if (l->lookup == NEAREST) sum_double(SHAPE_, NEAREST, l, chosen, S, sum);                 \
            else sum_double(SHAPE_, TRICUBIC, l, chosen, S, sum);                                          \
        }                                                                                          \
        break;

INLINE struct chosen all_of(const struct lattice *l) {
    const struct chosen all = {0, l->orientations};
    return all;
}

/* common * sum[lane] = sum over the chosen orientations of F^2 L^2. */
NOINLINE void lattice_block(const struct lattice *l, struct chosen chosen, const struct vectors *S, double *sum) {
    for (int lane = 0; lane < LANES; lane++) sum[lane] = 0.0;
    switch (l->shape) {
        SUM_CASES(SQUARE)
        SUM_CASES(ROUND)
        SUM_CASES(GAUSS)
        SUM_CASES(TOPHAT)
    case DIFFUSE:
        if (l->lookup == CONSTANT) sum_double(DIFFUSE, CONSTANT, l, chosen, S, sum);
        else if (l->lookup == NEAREST) sum_double(DIFFUSE, NEAREST, l, chosen, S, sum);
        else sum_double(DIFFUSE, TRICUBIC, l, chosen, S, sum);
        break;
    }
}

#endif
