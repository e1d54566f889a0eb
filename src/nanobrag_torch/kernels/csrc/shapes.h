/* The lattice amplitude L of each crystal shape, up to sign, for one lane, in double and in single precision.
 *
 * d are the distances of h, k, l from their nearest whole numbers. ROUND, GAUSS and TOPHAT are functions of
 * u = scale |W^T d|^2, with W = diag(N) or the reciprocal vectors (specs: intensity 4; deviations F, D27).
 * DIFFUSE has an intensity in place of L^2, scale X/(1 + Y)^2 with X = h P h, Y = d G d: N is the diagonal of P, W are
 * P_12, P_13, P_23, the diagonal of G, and G_12, G_13, G_23. It is formed in double only. */
#ifndef NANOBRAG_SHAPES_H
#define NANOBRAG_SHAPES_H

#include "polynomials.h"

#define ROUND_FACTOR 0.723601254558268
#define GAUSS_RADIUS 0.63
#define TOPHAT_CUT 0.3969

struct shape_numbers {
    double N[3], cells, W[9], scale;
    double near[3]; /* -(2/pi) times the derivative of ln(sin(pi N d)/sin(pi d)) by d is near d at small d */
};

struct shape_numbersf {
    float N[3], cells, W[9], scale;
};

/* Derive the numbers that a shape's formula uses. */
INLINE struct shape_numbers shape_numbers(int shape, int exact_radius, const double *lattice) {
    struct shape_numbers s;
    const double *N = lattice + COUNTS;
    int diagonal = shape == ROUND || (exact_radius && shape != DIFFUSE);
    s.cells = N[0] * N[1] * N[2];
    for (int i = 0; i < 9; i++) s.W[i] = diagonal ? (i % 4 == 0 ? N[i / 4] : 0.0) : lattice[RECIPROCAL + i];
    for (int i = 0; i < 3; i++) {
        s.N[i] = N[i];
        s.near[i] = 2.0 * PI * (N[i] * N[i] - 1.0) / 3.0;
    }
    s.scale = lattice[FUDGE] * (shape == ROUND ? PI * PI : diagonal || shape == DIFFUSE ? 1.0 : s.cells * s.cells);
    return s;
}

/* Send gradients by these numbers on to the lattice parameters they were derived from. */
INLINE void shape_numbers_vjp(int shape, int exact_radius, const double *lattice, const struct shape_numbers *g,
                              double *out) {
    const double *N = lattice + COUNTS;
    int diagonal = shape == ROUND || (exact_radius && shape != DIFFUSE);
    double cells = N[0] * N[1] * N[2], by_cells = g->cells;
    if (shape != SQUARE) {
        double factor = shape == ROUND ? PI * PI : diagonal || shape == DIFFUSE ? 1.0 : cells * cells;
        out[FUDGE] += g->scale * factor;
        if (!diagonal && shape != DIFFUSE) by_cells += g->scale * lattice[FUDGE] * 2.0 * cells;
    }
    out[COUNTS] += g->N[0] + by_cells * N[1] * N[2];
    out[COUNTS + 1] += g->N[1] + by_cells * N[0] * N[2];
    out[COUNTS + 2] += g->N[2] + by_cells * N[0] * N[1];
    for (int i = 0; i < 9; i++) {
        if (!diagonal) out[RECIPROCAL + i] += g->W[i];
        else if (i % 4 == 0) out[COUNTS + i / 4] += g->W[i];
    }
}

INLINE struct shape_numbersf shape_numbersf(const struct shape_numbers *s) {
    struct shape_numbersf f;
    for (int i = 0; i < 3; i++) f.N[i] = (float)s->N[i];
    for (int i = 0; i < 9; i++) f.W[i] = (float)s->W[i];
    f.cells = (float)s->cells;
    f.scale = (float)s->scale;
    return f;
}

/* Move |d| away from 0, where sin(pi N d)/sin(pi d) is N to all digits but cannot be formed. */
INLINE double away_from_zero(double d) { return fabs(d) + 1e-40; }
INLINE float away_from_zerof(float d) { return fabsf(d) + 1e-9f; }

INLINE double square_amplitude(double dh, double dk, double dl, const struct shape_numbers *s) {
    double a = away_from_zero(dh), b = away_from_zero(dk), c = away_from_zero(dl);
    double t = s->N[0] * a, u = s->N[1] * b, v = s->N[2] * c;
    t = t - rint(t);
    u = u - rint(u);
    v = v - rint(v);
    double wide = sine_quotient(t * t) * sine_quotient(u * u) * sine_quotient(v * v);
    double narrow = sine_quotient(a * a) * sine_quotient(b * b) * sine_quotient(c * c);
    return RATIO((t * u * v) * wide, (a * b * c) * narrow);
}

INLINE float square_amplitudef(float dh, float dk, float dl, const struct shape_numbersf *s) {
    float a = away_from_zerof(dh), b = away_from_zerof(dk), c = away_from_zerof(dl);
    float t = s->N[0] * a, u = s->N[1] * b, v = s->N[2] * c;
    t = t - rintf(t);
    u = u - rintf(u);
    v = v - rintf(v);
    float wide = sine_quotientf(t * t) * sine_quotientf(u * u) * sine_quotientf(v * v);
    float narrow = sine_quotientf(a * a) * sine_quotientf(b * b) * sine_quotientf(c * c);
    return RATIOF((t * u * v) * wide, (a * b * c) * narrow);
}

INLINE double radius_squared(double dh, double dk, double dl, const struct shape_numbers *s) {
    const double *W = s->W;
    double x = dh * W[0] + dk * W[3] + dl * W[6];
    double y = dh * W[1] + dk * W[4] + dl * W[7];
    double z = dh * W[2] + dk * W[5] + dl * W[8];
    return s->scale * (x * x + y * y + z * z);
}

INLINE float radius_squaredf(float dh, float dk, float dl, const struct shape_numbersf *s) {
    const float *W = s->W;
    float x = dh * W[0] + dk * W[3] + dl * W[6];
    float y = dh * W[1] + dk * W[4] + dl * W[7];
    float z = dh * W[2] + dk * W[5] + dl * W[8];
    return s->scale * (x * x + y * y + z * z);
}

/* B and, when asked, its derivative by u = x^2, both with the same sign. */
INLINE double sphere(double u, double *slope) {
    double far_u = u > 1.0 ? u : 1.0, x = ROOT(far_u), r = x * (1.0 / PI), t = r - rint(r);
    double sine_by_x = RATIO(t * sine_quotient(t * t), x);
    double far = RATIO(3.0 * (sine_by_x - cosine(t * t)), far_u);
    double near_u = u > 1.0 ? 0.0 : u;
    *slope = u > 1.0 ? RATIO(1.5 * (sine_by_x - far), far_u) : sphere_series_slope(near_u);
    return u > 1.0 ? far : sphere_series(near_u);
}

INLINE float spheref(float u) {
    float far_u = u > 1.0f ? u : 1.0f, x = sqrtf(far_u), r = x * (float)(1.0 / PI), t = r - rintf(r);
    float far = RATIOF(3.0f * (RATIOF(t * sine_quotientf(t * t), x) - cosinef(t * t)), far_u);
    float near = 1.0f - u * (0.1f - u * (3.5714286e-3f - u * (6.6137566e-5f - u * 7.5156326e-7f)));
    return u > 1.0f ? far : near;
}

/* x P x of a symmetric form, by its diagonal and P_12, P_13, P_23. */
INLINE double form(const double *diagonal, const double *across, double x, double y, double z) {
    return x * (diagonal[0] * x + 2.0 * (across[0] * y + across[1] * z)) +
           y * (diagonal[1] * y + 2.0 * across[2] * z) + diagonal[2] * z * z;
}

/* The intensity of DIFFUSE at h, k, l, which are dh, dk, dl from the nearest whole ones. */
INLINE double diffuse(double h, double k, double l, double dh, double dk, double dl, const struct shape_numbers *s) {
    double below = 1.0 + form(s->W + 3, s->W + 6, dh, dk, dl);
    return RATIO(s->scale * form(s->N, s->W, h, k, l), below * below);
}

/* L of one lane; `shape` is a constant wherever this is used, so that one formula remains. */
INLINE double amplitude(int shape, double dh, double dk, double dl, const struct shape_numbers *s) {
    if (shape == SQUARE) return square_amplitude(dh, dk, dl, s);
    double u = radius_squared(dh, dk, dl, s), slope;
    if (shape == ROUND) return s->cells * ROUND_FACTOR * sphere(u, &slope);
    if (shape == GAUSS) return s->cells * exponential(u * (-1.0 / GAUSS_RADIUS));
    return u < TOPHAT_CUT ? s->cells : 0.0;
}

INLINE float amplitudef(int shape, float dh, float dk, float dl, const struct shape_numbersf *s) {
    if (shape == SQUARE) return square_amplitudef(dh, dk, dl, s);
    float u = radius_squaredf(dh, dk, dl, s);
    if (shape == ROUND) return s->cells * (float)ROUND_FACTOR * spheref(u);
    if (shape == GAUSS) return s->cells * exponentialf(u * (float)(-1.0 / GAUSS_RADIUS));
    return u < (float)TOPHAT_CUT ? s->cells : 0.0f;
}

#endif
