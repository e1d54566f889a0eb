/* The adjoint of pixels with one term: one sub-pixel of one layer, one source, no resolution limit, no background. */
#ifndef NANOBRAG_SIMPLE_VJP_BLOCK_H
#define NANOBRAG_SIMPLE_VJP_BLOCK_H

#include "geometry_vjp.h"
#include "lattice_vjp_block.h"

INLINE int has_one_term(const struct scene *s) {
#ifdef FIXED
    (void)s;
    return FIXED_ONE_TERM;
#else
    return s->layers == 1 && s->oversample == 1 && s->source_count == 1 && s->background == NO_BACKGROUND &&
           !s->has_dmin;
#endif
}

/* From derivatives by the totals of a block: those by the lattice, the geometry and the source (added to), and ALONG
 * directions the totals. */
INLINE void simple_vjp_block(int each, const struct scene *scene, const struct pixels *pixels, const double *by_total,
                             struct lattice_slice *lattice, double *restrict by_geometry, double *restrict by_source,
                             double *restrict total) {
    const double *source = scene->sources, weight = source[WEIGHT];
    struct sub_pixel at;
    struct sub_pixel_turn turn;
    struct vectors S, by_S;
    double p[LANES], g[LANES], intensity[LANES], by_p[LANES], by_weight = 0.0;
    sub_pixel(scene, pixels, 0, 0, 0, &at);
    scatter(scene, &at, source, &S, p);
    if (scene->polarized) polarize(scene, &at, source, p);
    SIMD for (int lane = 0; lane < LANES; lane++)
        g[lane] = by_total[lane] * weight * p[lane] * at.omega[lane] * at.kappa[lane];
    lattice_vjp_block(each == ALONG, &scene->lattice, chosen_of(scene, pixels, 0), &S, g, intensity, &by_S, lattice);
    REDUCE(+ : by_weight)
    for (int lane = 0; lane < LANES; lane++) {
        double unweighted = by_total[lane] * intensity[lane], loss = weight * unweighted;
        double omega = at.omega[lane], kappa = at.kappa[lane];
        double plain = p[lane] * omega * kappa;
        COLLECT(by_source, WEIGHT, by_weight, unweighted * plain)
        if (each == ALONG) total[lane] = weight * intensity[lane] * plain;
        by_p[lane] = loss * omega * kappa;
        turn.omega[lane] = loss * p[lane] * kappa;
        turn.kappa[lane] = loss * p[lane] * omega;
        turn.x[lane] = turn.y[lane] = turn.z[lane] = 0.0;
    }
    if (!each) by_source[WEIGHT] += by_weight;
    scatter_vjp(each, &S, &by_S, source, &turn, by_source);
    if (scene->polarized) polarize_vjp(each, scene, &at, source, by_p, &turn, by_source, by_geometry);
    sub_pixel_vjp(each, scene, &at, 0, &turn, by_geometry);
}

#endif
