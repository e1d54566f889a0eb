/* The commonest pixel by itself: one sub-pixel of one layer without a capture fraction, on a flat panel, one source, no
 * resolution limit, no background. Its geometry is one loop. */
#ifndef NANOBRAG_SIMPLE_BLOCK_H
#define NANOBRAG_SIMPLE_BLOCK_H

#include "geometry.h"

INLINE int is_simple(const struct scene *s) {
#ifdef FIXED
    (void)s;
    return FIXED_SIMPLE;
#else
    return s->curvature == FLAT && s->layers == 1 && s->oversample == 1 && s->source_count == 1 && !s->has_sensor &&
           s->background == NO_BACKGROUND && !s->has_dmin;
#endif
}

/* What a simple pixel's term is made of. */
struct simple {
    struct vectors S;
    double factor[LANES], omega[LANES]; /* scale weight p Omega; Omega */
};

/* `single`: 1/R to 3e-12 only. `unpolarized`: K = 0 or no polarization, the factor is (1 + c^2)/2 or 1. */
INLINE void simple_geometry(const struct scene *scene, const struct pixels *restrict pixels, double scale, int single,
                            int unpolarized, int wants_angle, struct simple *restrict out) {
    LOCAL(g, scene->geometry, GEOMETRY_LENGTH)
    LOCAL(source, scene->sources, SOURCE_LENGTH)
    const double size = g[PIXEL_SIZE], half = 0.5 * size, by_wavelength = RATIO(1.0, source[WAVELENGTH]);
    const double point = scene->point_pixel ? 1.0 : 0.0, K = g[KAHN], along = axis_along(source + ELECTRIC);
    const double area = scene->point_pixel ? g[POINT_AREA] : size * size * g[CLOSE_DISTANCE];
    const double sx = source[INCIDENT] * by_wavelength, sy = source[INCIDENT + 1] * by_wavelength;
    const double sz = source[INCIDENT + 2] * by_wavelength, whole = scale * source[WEIGHT] * scene->lattice.common;
    const int polarized = scene->polarized;
    double root[LANES];
    const double *i = source + INCIDENT, *E = source + ELECTRIC, *B = source + MAGNETIC;
    /* The steps are loops of their own, so that several lanes' chains of operations overlap. */
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double f = size * pixels->fast[lane] + half, s = size * pixels->slow[lane] + half;
        double x = f * g[FAST] + (s * g[SLOW] + g[ORIGIN]);
        double y = f * g[FAST + 1] + (s * g[SLOW + 1] + g[ORIGIN + 1]);
        double z = f * g[FAST + 2] + (s * g[SLOW + 2] + g[ORIGIN + 2]);
        out->S.x[lane] = x;
        out->S.y[lane] = y;
        out->S.z[lane] = z;
        root[lane] = x * x + y * y + z * z;
    }
    SIMD for (int lane = 0; lane < LANES; lane++) root[lane] = inverse_root(root[lane], !single);
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double x = out->S.x[lane], y = out->S.y[lane], z = out->S.z[lane];
        double inverse = root[lane], to_S = inverse * by_wavelength;
        double c = (x * i[0] + y * i[1] + z * i[2]) * inverse, p = 0.5 + 0.5 * c * c;
        if (!unpolarized) {
            double e = (x * E[0] + y * E[1] + z * E[2]) * inverse;
            double b = (x * B[0] + y * B[1] + z * B[2]) * inverse;
            p = polarization(K, along, c, e, b);
        }
        double omega = area * (inverse * inverse) * (point + (1.0 - point) * inverse);
        out->S.x[lane] = x * to_S - sx;
        out->S.y[lane] = y * to_S - sy;
        out->S.z[lane] = z * to_S - sz;
        if (wants_angle) out->omega[lane] = omega;
        out->factor[lane] = whole * (polarized ? p * omega : omega);
        TAP3("scattering_vec_per_A", out->S.x[lane], out->S.y[lane], out->S.z[lane])
        TAP("inverse_distance_per_m", inverse)
        TAP("polarization", polarized ? p : 1.0)
        TAP("omega_sr", omega)
        TAP("scaled_factor", out->factor[lane])
    }
}

INLINE void choose_geometry(const struct scene *scene, const struct pixels *restrict pixels, double scale,
                            int wants_angle, struct simple *restrict out) {
    const int unpolarized = !scene->polarized || scene->geometry[KAHN] == 0.0, single = scene->lattice.single;
    if (single && unpolarized) simple_geometry(scene, pixels, scale, 1, 1, wants_angle, out);
    else if (single) simple_geometry(scene, pixels, scale, 1, 0, wants_angle, out);
    else if (unpolarized) simple_geometry(scene, pixels, scale, 0, 1, wants_angle, out);
    else simple_geometry(scene, pixels, scale, 0, 0, wants_angle, out);
}

/* total[lane] of a block of simple pixels, times `scale`; the solid angles are in `out`. */
NOINLINE void simple_block(const struct scene *scene, const struct pixels *pixels, double scale, int wants_angle,
                           struct simple *out, double *total) {
    if (wants_angle) choose_geometry(scene, pixels, scale, 1, out);
    else choose_geometry(scene, pixels, scale, 0, out);
    lattice_block(&scene->lattice, chosen_of(scene, pixels, 0), &out->S, total);
    SIMD for (int lane = 0; lane < LANES; lane++) total[lane] *= out->factor[lane];
}

#endif
