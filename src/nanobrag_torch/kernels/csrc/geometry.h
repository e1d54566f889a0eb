/* Positions, directions, solid angles, capture fractions and polarization of one block of pixels
 * (specs: geometry 10, 11; intensity 3, 5; deviations F, D28). */
#ifndef NANOBRAG_GEOMETRY_H
#define NANOBRAG_GEOMETRY_H

#include "lattice_block.h"

struct scene {
    struct lattice lattice;
    const double *geometry; /* [GEOMETRY_LENGTH] */
    const double *sources;  /* [Q, SOURCE_LENGTH] */
    int64_t source_count, layers, oversample, pixels_f;
    int curvature, point_pixel, has_sensor, polarized;
    int per_term_omega, per_term_polar, per_term_thick, background;
};

INLINE struct scene scene_of(const struct scene_inputs *in) {
    const int64_t *c = in->lattice.config;
    struct scene s;
    s.lattice = lattice_of(&in->lattice);
    s.geometry = in->geometry;
    s.sources = in->sources;
    s.source_count = c[SOURCES];
    s.layers = c[LAYERS];
    s.oversample = c[OVERSAMPLE];
    s.pixels_f = c[PIXELS_F];
    s.curvature = (int)c[CURVATURE];
    s.point_pixel = (int)c[POINT_PIXEL];
    s.has_sensor = (int)c[HAS_SENSOR];
    s.polarized = (int)c[POLARIZED];
    s.per_term_omega = (int)c[PER_TERM_OMEGA];
    s.per_term_polar = (int)c[PER_TERM_POLAR];
    s.per_term_thick = (int)c[PER_TERM_THICK];
    s.background = (int)c[BACKGROUND];
    return s;
}

/* Whole coordinates of a block of pixels; lanes beyond the list repeat its last pixel. */
struct pixels {
    double fast[LANES], slow[LANES];
};

INLINE void load_pixels(const struct scene_inputs *in, const struct scene *s, int64_t first, struct pixels *out) {
    double index[LANES];
    const double row = (double)s->pixels_f, last = (double)(in->count - 1);
    for (int lane = 0; lane < LANES; lane++) {
        double at = (double)first + lane;
        at = at < last ? at : last;
        index[lane] = in->pixels ? (double)in->pixels[(int64_t)at] : (double)in->first + at;
    }
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double slow = floor((index[lane] + 0.5) / row);
        out->slow[lane] = slow;
        out->fast[lane] = index[lane] - slow * row;
    }
}

/* A sub-pixel of one layer, and what the loops need of it, for a block. */
struct sub_pixel {
    double x[LANES], y[LANES], z[LANES]; /* direction */
    double inverse[LANES];               /* 1/R (1/m) */
    double f[LANES], s[LANES];           /* detector coordinates (m) */
    double omega[LANES], kappa[LANES];
};

/* rot(w, n, angle) of the notation. */
INLINE void rotate(double *w, const double *n, double angle) {
    double s, c;
    sine_cosine(angle, &s, &c);
    double along = (n[0] * w[0] + n[1] * w[1] + n[2] * w[2]) * (1.0 - c);
    double x = n[0] * along + w[0] * c + (n[1] * w[2] - n[2] * w[1]) * s;
    double y = n[1] * along + w[1] * c + (n[2] * w[0] - n[0] * w[2]) * s;
    double z = n[2] * along + w[2] * c + (n[0] * w[1] - n[1] * w[0]) * s;
    w[0] = x, w[1] = y, w[2] = z;
}

/* Position of one lane (m); returns sin rho/rho of the exact curved detector, else 1. */
INLINE double position(int curvature, const double *g, double f, double s, double depth, double *P) {
    if (curvature == CURVED_EXACT) {
        double u = f - g[BEAM_CENTRE], v = s - g[BEAM_CENTRE + 1], radius = fabs(g[DISTANCE]);
        double rho = sqrt(u * u + v * v) / radius, sine, cosine_, sinc;
        sine_cosine(rho, &sine, &cosine_);
        double safe = rho > 1e-9 ? rho : 1.0;
        sinc = rho > 1e-9 ? sine / safe : 1.0;
        for (int i = 0; i < 3; i++)
            P[i] = radius * cosine_ * g[BEAM + i] + (u * g[SPHERE_FAST + i] + v * g[SPHERE_SLOW + i]) * sinc;
        return sinc;
    }
    for (int i = 0; i < 3; i++) P[i] = f * g[FAST + i] + s * g[SLOW + i] + depth * g[NORMAL + i] + g[ORIGIN + i];
    if (curvature == CURVED_NANOBRAGG) {
        double first = P[1] / g[DISTANCE], second = P[2] / g[DISTANCE];
        for (int i = 0; i < 3; i++) P[i] = g[DISTANCE] * g[BEAM + i];
        rotate(P, g + SLOW, first);
        rotate(P, g + FAST, second);
    }
    return 1.0;
}

INLINE void sub_pixel_of(int curvature, const struct scene *scene, const struct pixels *restrict pixels, double layer,
                         double sub_slow, double sub_fast, struct sub_pixel *restrict out) {
    double g[GEOMETRY_LENGTH];
    memcpy(g, scene->geometry, sizeof g);
    const double n = (double)scene->oversample, size = g[PIXEL_SIZE] / n, half = 0.5 * size;
    const double area = g[PIXEL_SIZE] * g[PIXEL_SIZE], absorption = g[LAYER_STEP] * g[ATTENUATION];
    const int point_pixel = scene->point_pixel, has_sensor = scene->has_sensor;
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double f = size * (pixels->fast[lane] * n + sub_fast) + half;
        double s = size * (pixels->slow[lane] * n + sub_slow) + half, P[3];
        double sinc = position(curvature, g, f, s, layer * g[LAYER_STEP], P);
        double inverse = 1.0 / sqrt(P[0] * P[0] + P[1] * P[1] + P[2] * P[2]), square = inverse * inverse;
        double obliquity = curvature == CURVED_EXACT ? sinc : g[CLOSE_DISTANCE] * inverse;
        out->x[lane] = P[0] * inverse;
        out->y[lane] = P[1] * inverse;
        out->z[lane] = P[2] * inverse;
        out->inverse[lane] = inverse;
        out->f[lane] = f;
        out->s[lane] = s;
        out->omega[lane] = point_pixel ? g[POINT_AREA] * square : area * square * obliquity;
    }
    SIMD for (int lane = 0; lane < LANES; lane++) out->kappa[lane] = 1.0;
    if (!has_sensor) return;
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double cosine_ = out->x[lane] * g[NORMAL] + out->y[lane] * g[NORMAL + 1] + out->z[lane] * g[NORMAL + 2];
        double per_layer = curvature == CURVED_EXACT ? absorption : absorption / cosine_;
        out->kappa[lane] = exponential(-layer * per_layer) - exponential(-(layer + 1.0) * per_layer);
    }
}

/* One sub-pixel of one layer for a block. */
NOINLINE void sub_pixel(const struct scene *scene, const struct pixels *pixels, int64_t layer,
                                                int64_t sub_slow, int64_t sub_fast, struct sub_pixel *out) {
    const double l = (double)layer, s = (double)sub_slow, f = (double)sub_fast;
    if (scene->curvature == FLAT) sub_pixel_of(FLAT, scene, pixels, l, s, f, out);
    else if (scene->curvature == CURVED_EXACT) sub_pixel_of(CURVED_EXACT, scene, pixels, l, s, f, out);
    else sub_pixel_of(CURVED_NANOBRAGG, scene, pixels, l, s, f, out);
}

/* Scattering vectors of one source, and 1 where the resolution limit keeps them, else 0. */
INLINE void scatter(const struct scene *scene, const struct sub_pixel *restrict at, const double *source,
                    struct vectors *restrict S, double *restrict kept) {
    const double by_wavelength = 1.0 / source[WAVELENGTH], dmin = scene->geometry[DMIN];
    const double i = source[INCIDENT], j = source[INCIDENT + 1], k = source[INCIDENT + 2];
    SIMD for (int lane = 0; lane < LANES; lane++) {
        S->x[lane] = (at->x[lane] - i) * by_wavelength;
        S->y[lane] = (at->y[lane] - j) * by_wavelength;
        S->z[lane] = (at->z[lane] - k) * by_wavelength;
        kept[lane] = 1.0;
    }
    if (!(dmin > 0.0)) return;
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double length = sqrt(S->x[lane] * S->x[lane] + S->y[lane] * S->y[lane] + S->z[lane] * S->z[lane]);
        kept[lane] = (length > 0.0) & (dmin * length > 1.0) ? 0.0 : 1.0;
    }
}

/* Polarization factor of one source. */
INLINE void polarize(const struct scene *scene, const struct sub_pixel *restrict at, const double *source,
                     double *restrict out) {
    const double K = scene->geometry[KAHN];
    const double *i = source + INCIDENT, *E = source + ELECTRIC, *B = source + MAGNETIC;
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double x = at->x[lane], y = at->y[lane], z = at->z[lane];
        double c = x * i[0] + y * i[1] + z * i[2];
        double e = x * E[0] + y * E[1] + z * E[2], b = x * B[0] + y * B[1] + z * B[2];
        out[lane] = 0.5 * (1.0 + c * c - K * (e * e - b * b));
    }
}

INLINE int any(const double *lanes) {
    double sum = 0.0;
    for (int lane = 0; lane < LANES; lane++) sum += lanes[lane] != 0.0;
    return sum > 0.0;
}

#endif
