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
    int per_term_omega, per_term_polar, per_term_thick, background, has_dmin;
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
    s.curvature = CHOICE(c, CURVATURE);
    s.point_pixel = CHOICE(c, POINT_PIXEL);
    s.has_sensor = CHOICE(c, HAS_SENSOR);
    s.polarized = CHOICE(c, POLARIZED);
    s.per_term_omega = CHOICE(c, PER_TERM_OMEGA);
    s.per_term_polar = CHOICE(c, PER_TERM_POLAR);
    s.per_term_thick = CHOICE(c, PER_TERM_THICK);
    s.background = CHOICE(c, BACKGROUND);
    s.has_dmin = CHOICE(c, HAS_DMIN);
    return s;
}

/* Whole coordinates of a block of pixels; lanes beyond the list repeat its last pixel. */
struct pixels {
    double fast[LANES], slow[LANES];
    const struct chosen *chosen; /* [Q]: each source's orientations, or null for all of them */
};

INLINE struct chosen chosen_of(const struct scene *s, const struct pixels *pixels, int64_t source) {
    return pixels->chosen ? pixels->chosen[source] : all_of(&s->lattice);
}

INLINE void load_pixels(const struct scene_inputs *in, const struct scene *s, int64_t first, struct pixels *out) {
    double index[LANES];
    const double by_row = RATIO(1.0, (double)s->pixels_f), row = (double)s->pixels_f;
#ifndef WARP /* a card would divide whole numbers of 64 bits, which costs it more than the general way */
    const int64_t at = in->first + first, column = at % s->pixels_f;
    if (!in->pixels && first + LANES <= in->count && column + LANES <= s->pixels_f) { /* a piece of one row */
        const double slow = (double)(at / s->pixels_f), fast = (double)column;
        SIMD for (int lane = 0; lane < LANES; lane++) {
            out->slow[lane] = slow;
            out->fast[lane] = fast + (double)lane;
        }
        return;
    }
#endif
    if (in->pixels) {
        for (int lane = 0; lane < LANES; lane++) {
            int64_t at = first + lane < in->count ? first + lane : in->count - 1;
            index[lane] = (double)in->pixels[at];
        }
    } else {
        const double start = (double)(in->first + first), last = (double)(in->first + in->count - 1);
        SIMD for (int lane = 0; lane < LANES; lane++) {
            double at = start + (double)lane;
            index[lane] = at < last ? at : last;
        }
    }
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double slow = floor((index[lane] + 0.5) * by_row); /* half a pixel is more than the rounding of 1/row */
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

/* A vector of one lane. It is passed by value, and no arrays are used: they would keep loops from becoming vectors. */
struct vector {
    double x, y, z;
};

INLINE struct vector at_offset(const double *g) {
    struct vector v = {g[0], g[1], g[2]};
    return v;
}

/* rot(w, n, angle) of the notation. */
INLINE struct vector rotate(struct vector w, struct vector n, double angle) {
    double s, c;
    sine_cosine(angle, &s, &c);
    double along = (n.x * w.x + n.y * w.y + n.z * w.z) * (1.0 - c);
    struct vector out;
    out.x = n.x * along + w.x * c + (n.y * w.z - n.z * w.y) * s;
    out.y = n.y * along + w.y * c + (n.z * w.x - n.x * w.z) * s;
    out.z = n.z * along + w.z * c + (n.x * w.y - n.y * w.x) * s;
    return out;
}

/* Position of one lane (m); `sinc` becomes sin rho/rho of the exact curved detector, else 1. */
INLINE struct vector position(int curvature, const double *g, double f, double s, double depth, double *sinc) {
    const struct vector fast = at_offset(g + FAST), slow = at_offset(g + SLOW), normal = at_offset(g + NORMAL);
    const struct vector beam = at_offset(g + BEAM), first = at_offset(g + SPHERE_FAST);
    const struct vector second = at_offset(g + SPHERE_SLOW), origin = at_offset(g + ORIGIN);
    struct vector P;
    *sinc = 1.0;
    if (curvature == CURVED_EXACT) {
        double u = f - g[BEAM_CENTRE], v = s - g[BEAM_CENTRE + 1], radius = fabs(g[DISTANCE]), sine, along;
        double rho = RATIO(ROOT(u * u + v * v), radius), safe = rho > 1e-9 ? rho : 1.0;
        sine_cosine(rho, &sine, &along);
        *sinc = rho > 1e-9 ? RATIO(sine, safe) : 1.0;
        along *= radius, u *= *sinc, v *= *sinc;
        P.x = along * beam.x + u * first.x + v * second.x;
        P.y = along * beam.y + u * first.y + v * second.y;
        P.z = along * beam.z + u * first.z + v * second.z;
        return P;
    }
    P.x = f * fast.x + s * slow.x + depth * normal.x + origin.x;
    P.y = f * fast.y + s * slow.y + depth * normal.y + origin.y;
    P.z = f * fast.z + s * slow.z + depth * normal.z + origin.z;
    if (curvature == CURVED_NANOBRAGG) {
        const double d = g[DISTANCE], by_slow = RATIO(P.y, d), by_fast = RATIO(P.z, d);
        P.x = d * beam.x, P.y = d * beam.y, P.z = d * beam.z;
        P = rotate(rotate(P, slow, by_slow), fast, by_fast);
    }
    return P;
}

INLINE void sub_pixel_of(int curvature, const struct scene *scene, const struct pixels *restrict pixels, double layer,
                         double sub_slow, double sub_fast, struct sub_pixel *restrict out) {
    LOCAL(g, scene->geometry, GEOMETRY_LENGTH)
    const double n = (double)scene->oversample, size = RATIO(g[PIXEL_SIZE], n), half = 0.5 * size;
    const double area = g[PIXEL_SIZE] * g[PIXEL_SIZE], absorption = g[LAYER_STEP] * g[ATTENUATION];
    const int point_pixel = scene->point_pixel, has_sensor = scene->has_sensor;
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double f = size * (pixels->fast[lane] * n + sub_fast) + half;
        double s = size * (pixels->slow[lane] * n + sub_slow) + half, sinc;
        struct vector P = position(curvature, g, f, s, layer * g[LAYER_STEP], &sinc);
        double inverse = inverse_root(P.x * P.x + P.y * P.y + P.z * P.z, 1), square = inverse * inverse;
        double obliquity = curvature == CURVED_EXACT ? sinc : g[CLOSE_DISTANCE] * inverse;
        out->x[lane] = P.x * inverse;
        out->y[lane] = P.y * inverse;
        out->z[lane] = P.z * inverse;
        out->inverse[lane] = inverse;
        out->f[lane] = f;
        out->s[lane] = s;
        out->omega[lane] = point_pixel ? g[POINT_AREA] * square : area * square * obliquity;
    }
    SIMD for (int lane = 0; lane < LANES; lane++) out->kappa[lane] = 1.0;
    if (!has_sensor) return;
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double cosine_ = out->x[lane] * g[NORMAL] + out->y[lane] * g[NORMAL + 1] + out->z[lane] * g[NORMAL + 2];
        double per_layer = curvature == CURVED_EXACT ? absorption : RATIO(absorption, cosine_);
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
    const double by_wavelength = RATIO(1.0, source[WAVELENGTH]), dmin = scene->geometry[DMIN];
    const double i = source[INCIDENT], j = source[INCIDENT + 1], k = source[INCIDENT + 2];
    SIMD for (int lane = 0; lane < LANES; lane++) {
        S->x[lane] = (at->x[lane] - i) * by_wavelength;
        S->y[lane] = (at->y[lane] - j) * by_wavelength;
        S->z[lane] = (at->z[lane] - k) * by_wavelength;
        kept[lane] = 1.0;
    }
    if (!scene->has_dmin) return;
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double length = ROOT(S->x[lane] * S->x[lane] + S->y[lane] * S->y[lane] + S->z[lane] * S->z[lane]);
        kept[lane] = (length > 0.0) & (dmin * length > 1.0) ? 0.0 : 1.0;
    }
}

/* 1 where the polarization axis lies along the source, so that the angle psi is 0 for every direction, else 0. */
INLINE double axis_along(const double *E) { return E[0] == 0.0 && E[1] == 0.0 && E[2] == 0.0 ? 1.0 : 0.0; }

/* Polarization factor of one source for a direction of cosine c with it, and e and b with the electric and magnetic
 * axis. */
INLINE double polarization(double K, double along, double c, double e, double b) {
    return 0.5 * (1.0 + c * c - K * (e * e - b * b + along * (1.0 - c * c)));
}

INLINE void polarize(const struct scene *scene, const struct sub_pixel *restrict at, const double *source,
                     double *restrict out) {
    const double K = scene->geometry[KAHN];
    const double *i = source + INCIDENT, *E = source + ELECTRIC, *B = source + MAGNETIC;
    const double along = axis_along(E);
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double x = at->x[lane], y = at->y[lane], z = at->z[lane];
        double c = x * i[0] + y * i[1] + z * i[2];
        double e = x * E[0] + y * E[1] + z * E[2], b = x * B[0] + y * B[1] + z * B[2];
        out[lane] = polarization(K, along, c, e, b);
    }
}

/* Whether a lane is not zero, or is zero. */
INLINE int any(const double *lanes) {
    int found = 0;
    REDUCE(| : found)
    for (int lane = 0; lane < LANES; lane++) found |= lanes[lane] != 0.0;
    return found;
}

INLINE int any_zero(const double *lanes) {
    int found = 0;
    REDUCE(| : found)
    for (int lane = 0; lane < LANES; lane++) found |= lanes[lane] == 0.0;
    return found;
}

#endif
