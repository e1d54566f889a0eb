/* Which orientations of a tile of pixels can be left out, given how much a pixel's total may lose.
 *
 * The theorem. Let a tile's positions be c + x f + y s + z n with |x| <= e_f, |y| <= e_s, |z| <= e_n, and let
 * d(P) = P/|P|. With D = e_f |f| + e_s |s| + e_n |n| and r - D > 0, Taylor's formula and |d''[u,u]| <= sqrt(4/3) |u|^2/|P|^2
 * give, for every index h = a.(d - i)/lambda in the tile,
 *
 *     |h - h_c| <= (e_f |a.f'| + e_s |a.s'| + e_n |a.n'| + |a| sqrt(1/3) D^2/(r - D)^2)/lambda,   v' = (v - d (d.v))/r.
 *
 * The distance of h from its nearest whole number is thus at least |h_c - rint h_c| less that radius, and
 * |sin(pi N x)/sin(pi x)| <= min(max(N, 1), 1/sin(pi x)) on (0, 1/2], and the laws of the other shapes fall with u, for
 * which the distance of each reflection from the tile's plane is a bound too. Times the largest F that the radius
 * reaches, |weight|, the largest polarization factor, solid angle and capture fraction, this bounds a term. Terms are left out as long as their bounds add up to no more than the limit, shared out evenly
 * over sources and orientations in their order. All terms are positive: a pixel loses between 0 and the limit. */
#ifndef NANOBRAG_BOUNDS_H
#define NANOBRAG_BOUNDS_H

#include <stdlib.h>

#include "tiles.h"

#define SLACK 1.001         /* for rounding, in single precision too */
#define ROOT_THIRD 0.57735026918962576

/* What a thread works with: the cells with the orientations side by side [9, M], bounds [M], lists [Q, M], and one
 * entry per source. */
struct choice {
    double *cells, *bounds;
    int32_t *lists;
    struct chosen *chosen;
};

/* Returns 0, or 1 when there is no memory. Without a limit nothing is asked for. */
INLINE int open_choice(const struct scene *s, struct choice *out) {
    const size_t M = (size_t)s->lattice.orientations, Q = (size_t)s->source_count;
    memset(out, 0, sizeof *out);
    if (!(s->geometry[LIMIT] > 0.0)) return 0;
    out->cells = (double *)malloc(9 * M * sizeof *out->cells);
    out->bounds = (double *)malloc(M * sizeof *out->bounds);
    out->lists = (int32_t *)malloc(Q * M * sizeof *out->lists);
    out->chosen = (struct chosen *)malloc(Q * sizeof *out->chosen);
    if (!(out->cells && out->bounds && out->lists && out->chosen)) return 1;
    for (size_t m = 0; m < M; m++)
        for (size_t i = 0; i < 9; i++) out->cells[i * M + m] = s->lattice.in.cells[9 * m + i];
    return 0;
}

INLINE void close_choice(struct choice *c) {
    free(c->cells);
    free(c->bounds);
    free(c->lists);
    free(c->chosen);
}

/* A tile as seen from the sample: the middle's direction, how far it turns along each side, what the line leaves out,
 * and the largest solid angle. */
struct cone {
    struct vector middle, fast, slow, normal;
    double rest, omega;
};

INLINE double size_of(struct vector v) { return sqrt(v.x * v.x + v.y * v.y + v.z * v.z); }

/* k (v - d (d.v)) */
INLINE struct vector across(struct vector v, struct vector d, double k) {
    const double along = v.x * d.x + v.y * d.y + v.z * d.z;
    struct vector out = {k * (v.x - along * d.x), k * (v.y - along * d.y), k * (v.z - along * d.z)};
    return out;
}

/* Returns 0 where nothing can be said. */
INLINE int cone_of(const struct scene *s, const struct range *range, struct cone *out) {
    const double *g = s->geometry, size = g[PIXEL_SIZE];
    const struct vector fast = at_offset(g + FAST), slow = at_offset(g + SLOW), normal = at_offset(g + NORMAL);
    const struct vector none = {0.0, 0.0, 0.0};
    double sinc;
    const double f0 = range->first_fast, s0 = range->first_slow;
    const double ef = 0.5 * size * (range->last_fast - f0 + 1.0), es = 0.5 * size * (range->last_slow - s0 + 1.0);
    const double deep = 0.5 * (double)(s->layers - 1) * g[LAYER_STEP], en = fabs(deep);
    struct vector P = position(s->curvature, g, size * f0 + ef, size * s0 + es, deep, &sinc);
    const double r = size_of(P), by_r = 1.0 / r;
    double D = ef * size_of(fast) + es * size_of(slow) + en * size_of(normal), near = r;
    out->middle = across(P, none, by_r);
    out->fast = out->slow = out->normal = none;
    if (s->curvature == FLAT) {
        near = r - D;
        if (!(near > 0.0)) return 0;
        out->fast = across(fast, out->middle, ef * by_r);
        out->slow = across(slow, out->middle, es * by_r);
        out->normal = across(normal, out->middle, en * by_r);
        out->rest = ROOT_THIRD * D * D / (near * near);
    } else {
        if (fabs(size_of(fast) - 1.0) > 1e-6 || fabs(size_of(slow) - 1.0) > 1e-6) return 0;
        if (s->curvature == CURVED_NANOBRAGG) D *= 2.0; /* two rotations, each by a coordinate over the distance */
        out->rest = D / fabs(g[DISTANCE]);
    }
    out->omega = s->point_pixel ? fabs(g[POINT_AREA]) / (near * near) : size * size / (near * near);
    if (!s->point_pixel && s->curvature != CURVED_EXACT) out->omega *= fabs(g[CLOSE_DISTANCE]) / near;
    return 1;
}

/* The same for one source: the scattering vector of the middle and its changes (1/Angstrom). */
struct reach {
    struct vector middle, fast, slow, normal;
    double rest;
};

INLINE struct reach reach_of(const struct cone *c, const double *source) {
    const double k = 1.0 / source[WAVELENGTH];
    const struct vector none = {0.0, 0.0, 0.0};
    struct vector S = {c->middle.x - source[INCIDENT], c->middle.y - source[INCIDENT + 1],
                       c->middle.z - source[INCIDENT + 2]};
    struct reach out = {across(S, none, k), across(c->fast, none, k), across(c->slow, none, k),
                        across(c->normal, none, k), c->rest * k};
    return out;
}

INLINE double along(const double *a, struct vector v) { return a[0] * v.x + a[1] * v.y + a[2] * v.z; }

/* How far an index may be from h, that of the middle. */
INLINE double index_radius(const double *a, const struct reach *r, double h) {
    const double size = fabs(a[0]) + fabs(a[1]) + fabs(a[2]);
    return fabs(along(a, r->fast)) + fabs(along(a, r->slow)) + fabs(along(a, r->normal)) + size * r->rest +
           1e-10 * (1.0 + fabs(h));
}

/* The least distance of an index from a whole number. */
INLINE double least_distance(double x, double y, double z, const struct reach *r) {
    const double h = x * r->middle.x + y * r->middle.y + z * r->middle.z;
    const double radius = fabs(x * r->fast.x + y * r->fast.y + z * r->fast.z) +
                          fabs(x * r->slow.x + y * r->slow.y + z * r->slow.z) +
                          fabs(x * r->normal.x + y * r->normal.y + z * r->normal.z) +
                          (fabs(x) + fabs(y) + fabs(z)) * r->rest + 1e-10 * (1.0 + fabs(h));
    const double closest = fabs(h - rint(h)) - radius;
    return closest > 0.0 ? closest : 0.0;
}

/* Constants of a shape's bound. */
struct law {
    struct shape_numbers numbers;
    double flat[3];  /* 1/max(N, 1)^2 */
    double most;     /* of a radial shape's L^2 */
    double stretch[3]; /* u >= scale * (the sum of (stretch d)^2), for the distances d of the indices */
    int shape;
};

INLINE struct law law_of(const struct lattice *l) {
    struct law law;
    const double *W = l->numbers.W;
    double minors = 0.0;
    int diagonal = 1;
    law.numbers = l->numbers;
    law.shape = l->shape;
    law.most = l->numbers.cells * l->numbers.cells * (l->shape == ROUND ? ROUND_FACTOR * ROUND_FACTOR : 1.0);
    for (int i = 0; i < 3; i++) {
        const double N = fabs(law.numbers.N[i]) > 1.0 ? fabs(law.numbers.N[i]) : 1.0;
        law.flat[i] = 1.0 / (N * N);
        for (int j = 0; j < 3; j++) {
            const double *p = W + 3 * ((i + 1) % 3), *q = W + 3 * ((i + 2) % 3);
            const double minor = p[(j + 1) % 3] * q[(j + 2) % 3] - p[(j + 2) % 3] * q[(j + 1) % 3];
            minors += minor * minor;
            diagonal &= i == j || W[3 * i + j] == 0.0;
        }
    }
    const double determinant = W[0] * (W[4] * W[8] - W[5] * W[7]) - W[1] * (W[3] * W[8] - W[5] * W[6]) +
                               W[2] * (W[3] * W[7] - W[4] * W[6]);
    const double smallest = minors > 0.0 ? fabs(determinant) / sqrt(minors) : 0.0; /* 1/|W^-1|, Frobenius */
    for (int i = 0; i < 3; i++) law.stretch[i] = diagonal ? fabs(W[4 * i]) : smallest;
    return law;
}

/* The most that L^2 of a radial shape can be from u on. */
INLINE double most_beyond(int shape, const struct law *law, double u) {
    if (shape == GAUSS) return law->most * exponential(u * (-2.0 / GAUSS_RADIUS));
    if (shape == TOPHAT) return u > TOPHAT_CUT * SLACK ? 0.0 : law->most;
    const double far = u > 1.0 ? u : 1.0, fall = 3.0 * (1.0 + sqrt(far)) / (far * sqrt(far));
    return law->most * (fall < 1.0 && u > 1.0 ? fall * fall : 1.0);
}

/* The most that L^2 can be where the indices are at least a, b, c from whole numbers. */
INLINE double most_L2(int shape, const struct law *law, double a, double b, double c) {
    if (shape == SQUARE) {
        const double x = a * sine_quotient(a * a), y = b * sine_quotient(b * b), z = c * sine_quotient(c * c);
        const double p = x * x > law->flat[0] ? x * x : law->flat[0], q = y * y > law->flat[1] ? y * y : law->flat[1];
        return 1.0 / (p * q * (z * z > law->flat[2] ? z * z : law->flat[2]));
    }
    a *= law->stretch[0], b *= law->stretch[1], c *= law->stretch[2];
    return most_beyond(shape, law, law->numbers.scale * (a * a + b * b + c * c));
}

/* Bounds of one source's terms at every orientation, [M], but for F^2. */
INLINE void bound_orientations(int shape, const double *restrict cells, int64_t M, const struct law *law,
                               const struct reach *reach, double factor, double *restrict out) {
    const struct reach r = *reach;
    const struct law own = *law;
    SIMD for (int64_t m = 0; m < M; m++) {
        const double a = least_distance(cells[m], cells[M + m], cells[2 * M + m], &r);
        const double b = least_distance(cells[3 * M + m], cells[4 * M + m], cells[5 * M + m], &r);
        const double c = least_distance(cells[6 * M + m], cells[7 * M + m], cells[8 * M + m], &r);
        out[m] = factor * most_L2(shape, &own, a, b, c);
    }
}

/* What h = (h, k, l) - g becomes in the law of a radial shape: W^T d, u = scale |W^T d|^2. */
INLINE struct vector stretched(const struct law *law, double h, double k, double l) {
    const double *W = law->numbers.W;
    struct vector v = {h * W[0] + k * W[3] + l * W[6], h * W[1] + k * W[4] + l * W[7],
                       h * W[2] + k * W[5] + l * W[8]};
    return v;
}

/* A tile in the space of a radial law: its middle, the unit vector across it, and how thick it may be. */
struct sheet {
    struct vector middle, normal;
    double thickness;
};

INLINE struct sheet sheet_of(const struct law *law, const double *A, const struct reach *r) {
    struct sheet s;
    s.middle = stretched(law, along(A, r->middle), along(A + 3, r->middle), along(A + 6, r->middle));
    const struct vector f = stretched(law, along(A, r->fast), along(A + 3, r->fast), along(A + 6, r->fast));
    const struct vector g = stretched(law, along(A, r->slow), along(A + 3, r->slow), along(A + 6, r->slow));
    const struct vector n = stretched(law, along(A, r->normal), along(A + 3, r->normal), along(A + 6, r->normal));
    const struct vector c = {f.y * g.z - f.z * g.y, f.z * g.x - f.x * g.z, f.x * g.y - f.y * g.x};
    const double size = size_of(c), by = size > 0.0 ? 1.0 / size : 0.0;
    const struct vector zero = {0.0, 0.0, 0.0};
    double square = 0.0;
    for (int i = 0; i < 9; i++) square += A[i] * A[i] * r->rest * r->rest;
    double norm = 0.0;
    for (int i = 0; i < 9; i++) norm += law->numbers.W[i] * law->numbers.W[i];
    s.normal = across(c, zero, by);
    s.thickness = size_of(n) + sqrt(square * norm) + 1e-9 * (1.0 + size_of(s.middle));
    return s;
}

/* The largest term, but for `factor`, that the reflections within reach can give: |F|^2 L^2, with the distance of each
 * from the sheet where the shape is radial. `most`: L^2 whatever the reflection; `largest`: |F|, used where there is no
 * table of single reflections or where they are many. */
INLINE double term_in_reach(const struct lattice *l, const struct law *law, const double *A, const struct reach *r,
                            double most, double largest) {
    double low[3], high[3], found = 0.0;
    for (int i = 0; i < 3; i++) {
        const double h = along(A + 3 * i, r->middle), radius = index_radius(A + 3 * i, r, h);
        low[i] = ceil(h - radius - 0.5);
        high[i] = ceil(h + radius - 0.5);
    }
    if ((high[0] - low[0] + 1.0) * (high[1] - low[1] + 1.0) * (high[2] - low[2] + 1.0) > 64.0)
        return most * largest * largest;
    const struct sheet sheet = sheet_of(law, A, r);
    for (double h = low[0]; h <= high[0]; h++)
        for (double k = low[1]; k <= high[1]; k++)
            for (double m = low[2]; m <= high[2]; m++) {
                double F = largest, L2 = most;
                if (l->lookup == NEAREST) {
                    const int at = place(&l->grid, h, k, m);
                    F = l->single ? (double)((const float *)l->in.table)[at] : ((const double *)l->in.table)[at];
                }
                if (law->shape != SQUARE) {
                    const struct vector g = stretched(law, h, k, m);
                    const double off = (sheet.middle.x - g.x) * sheet.normal.x + (sheet.middle.y - g.y) * sheet.normal.y +
                                       (sheet.middle.z - g.z) * sheet.normal.z;
                    const double far = fabs(off) > sheet.thickness ? fabs(off) - sheet.thickness : 0.0;
                    const double own = most_beyond(law->shape, law, law->numbers.scale * far * far);
                    L2 = own < most ? own : most;
                }
                found = F * F * L2 > found ? F * F * L2 : found;
            }
    return found;
}

INLINE void bounds_of(const struct law *law, const struct choice *c, int64_t M, const struct reach *r, double factor) {
    if (law->shape == SQUARE) bound_orientations(SQUARE, c->cells, M, law, r, factor, c->bounds);
    else if (law->shape == ROUND) bound_orientations(ROUND, c->cells, M, law, r, factor, c->bounds);
    else if (law->shape == GAUSS) bound_orientations(GAUSS, c->cells, M, law, r, factor, c->bounds);
    else bound_orientations(TOPHAT, c->cells, M, law, r, factor, c->bounds);
}

/* List the orientations of a block that have to be added up, for every source; all of them without a limit. */
NOINLINE void choose(const struct scene *s, const struct law *law, const struct range *range, struct choice *c,
                     struct pixels *pixels) {
    const double limit = s->geometry[LIMIT], largest = s->geometry[LARGEST];
    struct cone cone;
    pixels->chosen = 0;
    if (!(limit > 0.0) || law->shape == DIFFUSE || law->numbers.scale < 0.0 || !cone_of(s, range, &cone)) return;
    const struct lattice *l = &s->lattice;
    const int64_t M = l->orientations;
    const double samples = (double)(s->layers * s->oversample * s->oversample), K = fabs(s->geometry[KAHN]);
    const double share = limit / ((double)M * (double)s->source_count);
    double used = 0.0, allowed = 0.0;
    for (int64_t q = 0; q < s->source_count; q++) {
        const double *source = s->sources + SOURCE_LENGTH * q;
        const struct reach reach = reach_of(&cone, source);
        const double polarization = s->polarized && K > 1.0 ? 0.5 * (1.0 + K) : 1.0;
        const double factor = SLACK * samples * fabs(source[WEIGHT]) * polarization * cone.omega;
        int32_t *list = c->lists + q * M;
        int64_t count = 0;
        bounds_of(law, c, M, &reach, factor);
        for (int64_t m = 0; m < M; m++) {
            double bound = c->bounds[m] * largest * largest;
            allowed += share;
            if (!(used + bound <= allowed) && (l->lookup == NEAREST || law->shape != SQUARE)) {
                const double most = factor > 0.0 ? c->bounds[m] / factor : 0.0;
                bound = factor * term_in_reach(l, law, l->in.cells + 9 * m, &reach, most, largest);
            }
            if (used + bound <= allowed) used += bound;
            else list[count++] = (int32_t)m;
        }
        const struct chosen found = {list, count};
        c->chosen[q] = found;
    }
    pixels->chosen = c->chosen;
}

/* Whether nothing of a block is left. */
INLINE int nothing_chosen(const struct scene *s, const struct pixels *pixels) {
    int64_t count = 0;
    for (int64_t q = 0; pixels->chosen && q < s->source_count; q++) count += pixels->chosen[q].count;
    return pixels->chosen && !count;
}

/* A block of a list: which lanes are which pixels, and which orientations are chosen; its coordinates are loaded unless
 * `may_skip` and nothing is chosen. Returns whether they are. */
INLINE int open_block(const struct scene_inputs *in, const struct scene *s, const struct tiles *t, const struct law *law,
                      int64_t block, int may_skip, struct choice *c, struct span *span, struct pixels *out) {
    *span = span_of(in, s, t, block);
    out->chosen = 0;
    if (s->geometry[LIMIT] > 0.0) {
        const struct range range = range_of(in, s, t, span);
        choose(s, law, &range, c, out);
        if (may_skip && nothing_chosen(s, out)) return 0;
    }
    load_block(in, s, t, span, out);
    return 1;
}

#endif
