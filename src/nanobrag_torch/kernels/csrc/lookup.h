/* Structure factors of a block: where the nearest reflection stands in the table, and tricubic interpolation
 * (specs: structure_factors 3, 5). The amplitude outside the grid stands behind the table's last entry. */
#ifndef NANOBRAG_LOOKUP_H
#define NANOBRAG_LOOKUP_H

#include "problem.h"

struct grid {
    double first[3], size[3], middle[3];
    int outside; /* H*K*L: place of the amplitude outside the grid */
};

INLINE struct grid grid_of(const int64_t *config) {
    struct grid g;
    for (int i = 0; i < 3; i++) {
        g.first[i] = (double)config[FIRST_H + i];
        g.size[i] = (double)config[SIZE_H + i];
        g.middle[i] = 0.5 * (g.size[i] - 1.0);
    }
    g.outside = (int)(config[SIZE_H] * config[SIZE_K] * config[SIZE_L]);
    return g;
}

/* Place in the table of the reflection with whole indices h, k, l. */
INLINE int place(const struct grid *g, double h, double k, double l) {
    double i = h - g->first[0], j = k - g->first[1], m = l - g->first[2], out = g->outside;
    double index = (i * g->size[1] + j) * g->size[2] + m;
    /* one comparison per axis: the distance from the middle of the grid */
    index = fabs(i - g->middle[0]) <= g->middle[0] ? index : out;
    index = fabs(j - g->middle[1]) <= g->middle[1] ? index : out;
    index = fabs(m - g->middle[2]) <= g->middle[2] ? index : out;
    return (int)index;
}

/* Weights of the nodes -1, 0, 1, 2 of the cubic Lagrange polynomial at 0 <= f < 1, and their derivatives. */
INLINE void lagrange(double f, double *w) {
    double below = f + 1.0, above = f - 1.0, beyond = f - 2.0;
    w[0] = f * above * beyond * (-1.0 / 6.0);
    w[1] = below * above * beyond * 0.5;
    w[2] = below * f * beyond * -0.5;
    w[3] = below * f * above * (1.0 / 6.0);
}

INLINE void lagrange_slopes(double f, double *w) {
    w[0] = -(3.0 * f * f - 6.0 * f + 2.0) * (1.0 / 6.0);
    w[1] = (3.0 * f * f - 4.0 * f - 1.0) * 0.5;
    w[2] = -(3.0 * f * f - 2.0 * f - 2.0) * 0.5;
    w[3] = (3.0 * f * f - 1.0) * (1.0 / 6.0);
}

/* Nodes of a block: place of the first of 4x4x4, the fractions, and whether all nodes exist. */
struct nodes {
    int corner[LANES], inside[LANES];
    double f[3][LANES];
};

INLINE void find_nodes(const struct grid *g, double (*restrict h)[LANES], struct nodes *restrict out) {
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double whole[3], index;
        int inside = 1;
        for (int axis = 0; axis < 3; axis++) {
            double x = h[axis][lane], first = g->first[axis];
            inside &= (x >= first + 2.0) & (x <= first + g->size[axis] - 3.0);
            whole[axis] = floor(x) - 1.0 - first;
            out->f[axis][lane] = x - floor(x);
        }
        index = (whole[0] * g->size[1] + whole[1]) * g->size[2] + whole[2];
        out->corner[lane] = inside ? (int)index : 0;
        out->inside[lane] = inside;
    }
}

#define TRICUBIC_BLOCK(NAME, REAL)                                                                                \
    /* F of a block at indices h [3][LANES]; with `slope` also its derivatives by them. */                        \
    NOINLINE void NAME(const struct grid *g, const REAL *table, double (*restrict h)[LANES], REAL *restrict F,       \
                     double (*slope)[LANES]) {                                                                     \
        struct nodes n;                                                                                            \
        find_nodes(g, h, &n);                                                                                      \
        const int row = (int)g->size[2], plane = row * (int)g->size[1];                                            \
        for (int lane = 0; lane < LANES; lane++) {                                                                 \
            if (!n.inside[lane]) {                                                                                 \
                F[lane] = table[g->outside];                                                                       \
                if (slope) slope[0][lane] = slope[1][lane] = slope[2][lane] = 0.0;                                 \
                continue;                                                                                          \
            }                                                                                                      \
            double w[3][4], v[3][4], sum = 0.0, by[3] = {0.0, 0.0, 0.0};                                           \
            for (int axis = 0; axis < 3; axis++) {                                                                 \
                lagrange(n.f[axis][lane], w[axis]);                                                                \
                if (slope) lagrange_slopes(n.f[axis][lane], v[axis]);                                              \
            }                                                                                                      \
            ROLLED for (int i = 0; i < 4; i++) {                                                                   \
                double in_plane = 0.0, by_k = 0.0, by_l = 0.0;                                                     \
                ROLLED for (int j = 0; j < 4; j++) {                                                               \
                    const REAL *Y = table + n.corner[lane] + i * plane + j * row;                                  \
                    double along = w[2][0] * Y[0] + w[2][1] * Y[1] + w[2][2] * Y[2] + w[2][3] * Y[3];              \
                    in_plane += w[1][j] * along;                                                                   \
                    if (!slope) continue;                                                                          \
                    double turn = v[2][0] * Y[0] + v[2][1] * Y[1] + v[2][2] * Y[2] + v[2][3] * Y[3];               \
                    by_k += v[1][j] * along;                                                                       \
                    by_l += w[1][j] * turn;                                                                        \
                }                                                                                                  \
                sum += w[0][i] * in_plane;                                                                         \
                if (!slope) continue;                                                                              \
                by[0] += v[0][i] * in_plane;                                                                       \
                by[1] += w[0][i] * by_k;                                                                           \
                by[2] += w[0][i] * by_l;                                                                           \
            }                                                                                                      \
            F[lane] = (REAL)sum;                                                                                   \
            if (!slope) continue;                                                                                  \
            for (int axis = 0; axis < 3; axis++) slope[axis][lane] = by[axis];                                     \
        }                                                                                                          \
    }

#endif
