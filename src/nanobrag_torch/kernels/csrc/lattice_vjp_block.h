/* The vector-Jacobian product of the sum over orientations for one block, always in double. */
#ifndef NANOBRAG_LATTICE_VJP_BLOCK_H
#define NANOBRAG_LATTICE_VJP_BLOCK_H

#include "lattice_block.h"
#include "shapes_vjp.h"

/* Gradients that one slice of the points adds up by itself; slices are added in their order afterwards. With
 * directions (`along_cells`), the cells' and the table's gradients are contracted with them at once, lane by lane. */
struct lattice_slice {
    struct number_lanes numbers;
    double *cells; /* [M,3,3] */
    double *table; /* this thread's copy of the table's gradient, or null */
    int wants_numbers;
    const struct directions *cell_directions, *table_directions; /* [padded, M, 3, 3], [padded, table] */
    double *along_cells, *along_table;                           /* [padded, STRIDE] */
};

/* Add a block's derivatives by F to the table, joining neighbours that read the same entry. */
INLINE void scatter_nearest(const int *index, const double *by_F, double *table) {
    int run = index[0];
    double sum = by_F[0];
    for (int lane = 1; lane < LANES; lane++) {
        if (index[lane] != run) {
            SHARED_ADD(table[run], sum);
            run = index[lane];
            sum = 0.0;
        }
        sum += by_F[lane];
    }
    SHARED_ADD(table[run], sum);
}

INLINE void scatter_tricubic(const struct grid *grid, double (*restrict h)[LANES], const double *by_F, double *table) {
    struct nodes n;
    find_nodes(grid, h, &n);
    const int row = (int)grid->size[2], plane = row * (int)grid->size[1];
    for (int lane = 0; lane < LANES; lane++) {
        if (!n.inside[lane]) {
            SHARED_ADD(table[grid->outside], by_F[lane]);
            continue;
        }
        double w[3][4];
        for (int axis = 0; axis < 3; axis++) lagrange(n.f[axis][lane], w[axis]);
        ROLLED for (int i = 0; i < 4; i++)
            ROLLED for (int j = 0; j < 4; j++) {
                double part = by_F[lane] * w[0][i] * w[1][j];
                for (int k = 0; k < 4; k++)
                    SHARED_ADD(table[n.corner[lane] + i * plane + j * row + k], part * w[2][k]);
            }
    }
}

/* From the derivatives by h, k, l of one orientation: those by S and by its cell A (added to). */
INLINE void indices_vjp(const double *A, const struct vectors *restrict S, double (*restrict g)[LANES],
                        struct vectors *restrict by_S, double *by_A) {
    double ax = 0, ay = 0, az = 0, bx = 0, by = 0, bz = 0, cx = 0, cy = 0, cz = 0;
    REDUCE(+ : ax, ay, az, bx, by, bz, cx, cy, cz)
    for (int lane = 0; lane < LANES; lane++) {
        double x = S->x[lane], y = S->y[lane], z = S->z[lane], gh = g[0][lane], gk = g[1][lane], gl = g[2][lane];
        by_S->x[lane] += gh * A[0] + gk * A[3] + gl * A[6];
        by_S->y[lane] += gh * A[1] + gk * A[4] + gl * A[7];
        by_S->z[lane] += gh * A[2] + gk * A[5] + gl * A[8];
        ax += gh * x, ay += gh * y, az += gh * z;
        bx += gk * x, by += gk * y, bz += gk * z;
        cx += gl * x, cy += gl * y, cz += gl * z;
    }
    GROUP_ADD(by_A[0], ax)
    GROUP_ADD(by_A[1], ay)
    GROUP_ADD(by_A[2], az)
    GROUP_ADD(by_A[3], bx)
    GROUP_ADD(by_A[4], by)
    GROUP_ADD(by_A[5], bz)
    GROUP_ADD(by_A[6], cx)
    GROUP_ADD(by_A[7], cy)
    GROUP_ADD(by_A[8], cz)
}

/* The derivatives along directions of one orientation's cell (added to), and those by S. */
INLINE void indices_along(const double *A, const struct vectors *restrict S, double (*restrict g)[LANES],
                          struct vectors *restrict by_S, const struct directions *d, int64_t m, int64_t orientations,
                          double *restrict along) {
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double gh = g[0][lane], gk = g[1][lane], gl = g[2][lane];
        by_S->x[lane] += gh * A[0] + gk * A[3] + gl * A[6];
        by_S->y[lane] += gh * A[1] + gk * A[4] + gl * A[7];
        by_S->z[lane] += gh * A[2] + gk * A[5] + gl * A[8];
    }
    ROLLED for (int64_t first = 0; first < d->padded; first += DIRECTION_BLOCK) {
        const int64_t step = 9 * orientations;
        const double *a = d->values + first * step + 9 * m, *b = a + step, *c = b + step, *e = c + step;
        double *restrict out = along + first * STRIDE;
        SIMD for (int lane = 0; lane < LANES; lane++) {
            double x = S->x[lane], y = S->y[lane], z = S->z[lane], gh = g[0][lane], gk = g[1][lane], gl = g[2][lane];
            double hx = gh * x, hy = gh * y, hz = gh * z, kx = gk * x, ky = gk * y, kz = gk * z;
            double lx = gl * x, ly = gl * y, lz = gl * z;
#define CONTRACT(T)                                                                                                  \
    ((T)[0] * hx + (T)[1] * hy + (T)[2] * hz + ((T)[3] * kx + (T)[4] * ky + (T)[5] * kz) +                           \
     ((T)[6] * lx + (T)[7] * ly + (T)[8] * lz))
            out[lane] += CONTRACT(a);
            out[STRIDE + lane] += CONTRACT(b);
            out[2 * STRIDE + lane] += CONTRACT(c);
            out[3 * STRIDE + lane] += CONTRACT(e);
        }
    }
}

/* The derivatives along directions of the table (added to), from those by F. */
INLINE void table_along(int lookup, const struct grid *grid, const int *restrict index, double (*restrict h)[LANES],
                        const double *restrict by_F, const struct directions *d, double *restrict along) {
    const int64_t step = (int64_t)grid->outside + 1;
    ROLLED for (int64_t k = 0; k < d->count; k++) {
        const double *values = d->values + k * step;
        double turn[LANES];
        if (lookup == TRICUBIC) tricubic(grid, values, h, turn, 0);
        else for (int lane = 0; lane < LANES; lane++) turn[lane] = values[index[lane]];
        for (int lane = 0; lane < LANES; lane++) along[k * STRIDE + lane] += by_F[lane] * turn[lane];
    }
}

/* The same where there is no table but one amplitude. */
INLINE void constant_along(const struct lattice *in, const double *g, const double *sum, struct lattice_slice *slice) {
    const double *table = (const double *)in->in.table;
    const int outside = in->grid.outside;
    for (int64_t k = 0; k < slice->table_directions->count; k++) {
        const double by_F = 2.0 * table[outside] * slice->table_directions->values[k * (outside + 1) + outside];
        for (int lane = 0; lane < LANES; lane++) slice->along_table[k * STRIDE + lane] += by_F * g[lane] * sum[lane];
    }
}

/* One shape and lookup. `g` [LANES]: derivatives of the loss by the sums; the sums themselves go to `sum`. The steps
 * are loops of their own, which keeps each one's numbers in registers. */
INLINE void vjp_double(int each, int shape, int lookup, int wants_numbers, int wants_table,
                       const struct lattice *in, struct chosen chosen, const struct vectors *restrict S, const double *restrict g, double *restrict sum,
                       struct vectors *restrict by_S, struct lattice_slice *restrict slice) {
    const double *table = (const double *)in->in.table;
    const struct shape_numbers numbers = in->numbers;
    const struct grid grid = in->grid;
    const double constant = lookup == CONSTANT ? table[grid.outside] * table[grid.outside] : 1.0;
    struct number_lanes *restrict lanes = &slice->numbers;
    double scaled[LANES]; /* g, with F^2 where that is the same for all */
    SIMD for (int lane = 0; lane < LANES; lane++) scaled[lane] = g[lane] * constant;
    for (int64_t n = 0; n < chosen.count; n++) {
        const int64_t m = chosen.list ? chosen.list[n] : n;
        const double *A = in->in.cells + 9 * m;
        double F[LANES], by_F[LANES], slope[3][LANES], hkl[3][LANES], turn[3][LANES];
        int index[LANES];
        if (lookup == TRICUBIC) {
            indices(A, S, hkl);
            tricubic(&grid, table, hkl, F, slope);
        }
        SIMD for (int lane = 0; lane < LANES; lane++) {
            double x = S->x[lane], y = S->y[lane], z = S->z[lane], h, k, l;
            turn[0][lane] = split(A, x, y, z, &h);
            turn[1][lane] = split(A + 3, x, y, z, &k);
            turn[2][lane] = split(A + 6, x, y, z, &l);
            if (lookup == NEAREST) {
                int at = place(&grid, h, k, l);
                F[lane] = table[at];
                if (wants_table) index[lane] = at;
            }
            if (shape == DIFFUSE) {
                hkl[0][lane] = h + turn[0][lane];
                hkl[1][lane] = k + turn[1][lane];
                hkl[2][lane] = l + turn[2][lane];
            }
        }
        SIMD for (int lane = 0; lane < LANES; lane++) {
            double dh = turn[0][lane], dk = turn[1][lane], dl = turn[2][lane], gh, gk, gl, L2;
            double FF = lookup == CONSTANT ? 1.0 : F[lane] * F[lane], gFF = scaled[lane] * FF;
            if (shape == DIFFUSE)
                L2 = diffuse_vjp(hkl[0][lane], hkl[1][lane], hkl[2][lane], dh, dk, dl, &numbers, gFF, lane, &gh, &gk, &gl,
                                 lanes);
            else if (shape == SQUARE) L2 = square_vjp(wants_numbers, dh, dk, dl, &numbers, gFF, lane, &gh, &gk, &gl, lanes);
            else L2 = radial_vjp(shape, dh, dk, dl, &numbers, gFF, lane, &gh, &gk, &gl, lanes);
            if (lookup != CONSTANT && (wants_table || lookup == TRICUBIC)) by_F[lane] = 2.0 * scaled[lane] * F[lane] * L2;
            if (lookup == TRICUBIC) {
                gh += by_F[lane] * slope[0][lane];
                gk += by_F[lane] * slope[1][lane];
                gl += by_F[lane] * slope[2][lane];
            }
            sum[lane] += FF * L2;
            turn[0][lane] = gh;
            turn[1][lane] = gk;
            turn[2][lane] = gl;
        }
        if (each) {
            indices_along(A, S, turn, by_S, slice->cell_directions, m, in->orientations, slice->along_cells);
            if (wants_table && lookup != CONSTANT)
                table_along(lookup, &grid, index, hkl, by_F, slice->table_directions, slice->along_table);
            continue;
        }
        indices_vjp(A, S, turn, by_S, slice->cells + 9 * m);
        if (!wants_table) continue;
        if (lookup == NEAREST) scatter_nearest(index, by_F, slice->table);
        if (lookup == TRICUBIC) scatter_tricubic(&grid, hkl, by_F, slice->table);
    }
    if (lookup != CONSTANT) return;
    double by_constant = 0.0;
    for (int lane = 0; lane < LANES; lane++) by_constant += g[lane] * sum[lane];
    if (each && wants_table) constant_along(in, g, sum, slice);
    else if (wants_table) SHARED_ADD(slice->table[grid.outside], 2.0 * table[grid.outside] * by_constant);
    for (int lane = 0; lane < LANES; lane++) sum[lane] *= constant;
}

#define VJP_LOOKUP(EACH, SHAPE_, LOOKUP_, NUMBERS)                                             \
    if (table) vjp_double(EACH, SHAPE_, LOOKUP_, NUMBERS, 1, l, chosen, S, g, sum, by_S, slice);       \
    else vjp_double(EACH, SHAPE_, LOOKUP_, NUMBERS, 0, l, chosen, S, g, sum, by_S, slice);

#define VJP_LOOKUPS(EACH, SHAPE_, NUMBERS)                                                     \
    if (l->lookup == CONSTANT) {                                                               \
        VJP_LOOKUP(EACH, SHAPE_, CONSTANT, NUMBERS)                                            \
    } else if (l->lookup == NEAREST) {                                                         \
        VJP_LOOKUP(EACH, SHAPE_, NEAREST, NUMBERS)                                             \
    } else {                                                                                   \
        VJP_LOOKUP(EACH, SHAPE_, TRICUBIC, NUMBERS)                                            \
    }

#define VJP_SHAPES(EACH)                                                                       \
    if (l->shape == SQUARE) {                                                                  \
        VJP_LOOKUPS(EACH, SQUARE, 1)                                                           \
    } else if (l->shape == ROUND) {                                                            \
        VJP_LOOKUPS(EACH, ROUND, 1)                                                            \
    } else if (l->shape == GAUSS) {                                                            \
        VJP_LOOKUPS(EACH, GAUSS, 1)                                                            \
    } else if (l->shape == DIFFUSE) {                                                          \
        VJP_LOOKUPS(EACH, DIFFUSE, 1)                                                          \
    } else {                                                                                   \
        VJP_LOOKUPS(EACH, TOPHAT, 1)                                                           \
    }

/* Sums of a block, derivatives by S (set), and the slice's gradients (added to). Lanes with g = 0 add nothing. */
NOINLINE void lattice_vjp_total(const struct lattice *l, struct chosen chosen, const struct vectors *S,
                                const double *g, double *sum, struct vectors *by_S, struct lattice_slice *slice) {
    const int table = slice->table != 0;
    if (l->shape == SQUARE && !slice->wants_numbers) {
        VJP_LOOKUPS(0, SQUARE, 0)
    } else {
        VJP_SHAPES(0)
    }
}

/* The same along directions: the slice's sums per lane (added to). */
NOINLINE void lattice_vjp_each(const struct lattice *l, struct chosen chosen, const struct vectors *S,
                               const double *g, double *sum, struct vectors *by_S, struct lattice_slice *slice) {
    const int table = slice->table_directions->count > 0;
    VJP_SHAPES(1)
}

INLINE void lattice_vjp_block(int each, const struct lattice *l, struct chosen chosen, const struct vectors *S,
                              const double *g, double *sum, struct vectors *by_S, struct lattice_slice *slice) {
    for (int lane = 0; lane < LANES; lane++) sum[lane] = by_S->x[lane] = by_S->y[lane] = by_S->z[lane] = 0.0;
    if (each) lattice_vjp_each(l, chosen, S, g, sum, by_S, slice);
    else lattice_vjp_total(l, chosen, S, g, sum, by_S, slice);
}

#endif
