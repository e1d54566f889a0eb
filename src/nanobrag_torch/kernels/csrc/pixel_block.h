/* Everything that a block of pixels collects: layers, sub-pixels, sources, orientations. */
#ifndef NANOBRAG_PIXEL_BLOCK_H
#define NANOBRAG_PIXEL_BLOCK_H

#include "simple_block.h"
#include "tiles.h"
#include "variants.h"

/* Sums of a block, before they are stored. */
struct sums {
    double total[LANES], background[LANES], angle[LANES];
    double omega[LANES], polarization[LANES], kappa[LANES]; /* the cached factors (specs: intensity 5) */
};

/* The terms of one sub-pixel of one layer. */
INLINE void add_sources(const struct scene *scene, const struct pixels *pixels, const struct sub_pixel *restrict at,
                        struct sums *restrict sums) {
    const double samples = (double)(scene->oversample * scene->oversample * scene->source_count);
    int seeking = scene->polarized && any_zero(sums->polarization);
    for (int64_t q = 0; q < scene->source_count; q++) {
        const double *source = scene->sources + SOURCE_LENGTH * q;
        struct vectors S;
        double kept[LANES], p[LANES], intensity[LANES];
        scatter(scene, at, source, &S, kept);
        TAP("source", q)
        TAP3("scattering_vec_per_A", S.x[0], S.y[0], S.z[0])
        TAP("kept", kept[0])
        for (int lane = 0; lane < LANES; lane++) p[lane] = 1.0;
        if (scene->polarized && (seeking || scene->per_term_polar || scene->background == BACKGROUND_EXACT)) {
            polarize(scene, at, source, p);
            TAP("polarization", p[0])
        }
        if (seeking) {
            SIMD for (int lane = 0; lane < LANES; lane++) {
                double cached = sums->polarization[lane];
                sums->polarization[lane] = cached == 0.0 ? kept[lane] * p[lane] : cached;
            }
            seeking = any_zero(sums->polarization);
        }
        if (scene->background == BACKGROUND_EXACT) {
            const double weight = RATIO(source[WEIGHT], samples);
            SIMD for (int lane = 0; lane < LANES; lane++)
                sums->background[lane] += weight * at->kappa[lane] * p[lane] * at->omega[lane];
        }
        if (!any(kept)) continue;
        lattice_block(&scene->lattice, chosen_of(scene, pixels, q), &S, intensity);
        const int omega = scene->per_term_omega, polar = scene->per_term_polar, thick = scene->per_term_thick;
        SIMD for (int lane = 0; lane < LANES; lane++) {
            double factor = source[WEIGHT] * scene->lattice.common * kept[lane];
            factor *= omega ? at->omega[lane] : 1.0;
            factor *= polar ? p[lane] : 1.0;
            factor *= thick ? at->kappa[lane] : 1.0;
            sums->total[lane] += factor * intensity[lane];
            TAP("term_factor", factor)
            TAP("running_total", sums->total[lane])
        }
    }
}

/* All terms of a block. */
INLINE void sum_block(const struct scene *scene, const struct pixels *pixels, struct sums *sums) {
    for (int lane = 0; lane < LANES; lane++) {
        sums->total[lane] = sums->background[lane] = sums->angle[lane] = 0.0;
        sums->polarization[lane] = scene->polarized ? 0.0 : 1.0;
    }
    for (int64_t layer = 0; layer < scene->layers; layer++)
        for (int64_t slow = 0; slow < scene->oversample; slow++)
            for (int64_t fast = 0; fast < scene->oversample; fast++) {
                struct sub_pixel at;
                sub_pixel(scene, pixels, layer, slow, fast, &at);
                TAP3("layer_slow_fast", layer, slow, fast)
                TAP3("diffracted_vec", at.x[0], at.y[0], at.z[0])
                TAP("inverse_distance_per_m", at.inverse[0])
                TAP("omega_sr", at.omega[0])
                TAP("capture_fraction", at.kappa[0])
                if (!slow && !fast) {
                    if (!layer) memcpy(sums->omega, at.omega, sizeof at.omega);
                    memcpy(sums->kappa, at.kappa, sizeof at.kappa);
                }
                for (int lane = 0; lane < LANES; lane++)
                    sums->angle[lane] += scene->per_term_omega ? at.omega[lane] : sums->omega[lane];
                add_sources(scene, pixels, &at, sums);
            }
    for (int lane = 0; lane < LANES; lane++) {
        double omega = sums->omega[lane], p = sums->polarization[lane], kappa = sums->kappa[lane];
        double factor = scene->per_term_omega ? 1.0 : omega;
        factor *= scene->per_term_polar ? 1.0 : p;
        factor *= scene->per_term_thick ? 1.0 : kappa;
        TAP("cached_omega_sr", omega)
        TAP("cached_polarization", p)
        TAP("cached_capture_fraction", kappa)
        sums->total[lane] *= factor;
        if (scene->background == BACKGROUND_NANOBRAGG) sums->background[lane] = kappa * p * omega;
    }
}

/* One block of one variant. */
INLINE void block_sums(const struct scene *scene, int simple, const struct pixels *pixels, const struct span *span,
                       const struct pixel_outputs *out) {
    if (simple) {
        struct simple now;
        double total[LANES];
        simple_block(scene, pixels, out->scale, out->angle != 0, &now, total);
        TAP("scaled_total", total[0])
        store(total, span, out->total);
        store_single(total, span, out->total_single);
        store(now.omega, span, out->angle);
        return;
    }
    struct sums sums;
    sum_block(scene, pixels, &sums);
    SIMD for (int lane = 0; lane < LANES; lane++) sums.total[lane] *= out->scale;
    TAP("scaled_total", sums.total[0])
    TAP("background_factor", sums.background[0])
    store(sums.total, span, out->total);
    store_single(sums.total, span, out->total_single);
    store(sums.background, span, out->background);
    store(sums.angle, span, out->angle);
}

#endif
