/* The adjoint of everything that a block of pixels collects. Nothing of the forward pass is kept. */
#ifndef NANOBRAG_PIXEL_VJP_BLOCK_H
#define NANOBRAG_PIXEL_VJP_BLOCK_H

#include "simple_vjp_block.h"

/* The gradients of one slice, collected as `each` says (geometry_vjp.h). */
struct slice {
    struct lattice_slice lattice;
    double *geometry, *sources;
};

/* The cached factors of a block, the term that p was taken from, and what the whole pixel adds up to. */
struct cached {
    double omega[LANES], polarization[LANES], kappa[LANES];
    double factor[LANES]; /* derivative of the loss by a term before the per-term factors */
    double unscaled[LANES]; /* the sum of the terms before the cached factors */
    double mean[LANES];     /* the background of all terms, where there is one */
    int wants_lattice;      /* 0 where only the background's derivative is asked for */
    int64_t term[LANES];
};

/* Find the cached factors: omega and kappa of their sub-pixels, p of the first surviving term where it is not 0. */
NOINLINE void find_cached(const struct scene *scene, const struct pixels *pixels, struct cached *out) {
    struct sub_pixel at;
    sub_pixel(scene, pixels, scene->layers - 1, 0, 0, &at);
    memcpy(out->kappa, at.kappa, sizeof at.kappa);
    if (scene->layers > 1) sub_pixel(scene, pixels, 0, 0, 0, &at);
    memcpy(out->omega, at.omega, sizeof at.omega);
    int64_t term = 0;
    int seeking = scene->polarized;
    for (int lane = 0; lane < LANES; lane++) {
        out->polarization[lane] = scene->polarized ? 0.0 : 1.0;
        out->term[lane] = -1;
        out->unscaled[lane] = out->mean[lane] = 0.0;
    }
    for (int64_t layer = 0; seeking && layer < scene->layers; layer++)
        for (int64_t sub = 0; seeking && sub < scene->oversample * scene->oversample; sub++) {
            if (term) sub_pixel(scene, pixels, layer, (int)sub / (int)scene->oversample, (int)sub % (int)scene->oversample, &at);
            for (int64_t q = 0; q < scene->source_count; q++, term++) {
                struct vectors S;
                double kept[LANES], p[LANES];
                scatter(scene, &at, scene->sources + SOURCE_LENGTH * q, &S, kept);
                polarize(scene, &at, scene->sources + SOURCE_LENGTH * q, p);
                seeking = 0;
                for (int lane = 0; lane < LANES; lane++) {
                    if (out->polarization[lane] == 0.0 && kept[lane] * p[lane] != 0.0) {
                        out->polarization[lane] = p[lane];
                        out->term[lane] = term;
                    }
                    seeking |= out->polarization[lane] == 0.0;
                }
                if (!seeking) break;
            }
        }
}

/* One source at one sub-pixel: its terms, and their derivatives. */
INLINE void source_vjp(int each, const struct scene *scene, const struct pixels *pixels,
                       const struct sub_pixel *restrict at, int64_t q,
                       const double *restrict by_background, struct cached *restrict cached,
                       struct sub_pixel_turn *restrict turn, struct slice *restrict slice) {
    const double *source = scene->sources + SOURCE_LENGTH * q;
    double *restrict by_source = slice->sources + SOURCE_LENGTH * q * (each ? STRIDE : 1), by_weight = 0.0;
    const double by_samples = RATIO(1.0, (double)(scene->oversample * scene->oversample * scene->source_count));
    const double weight = source[WEIGHT];
    const int own_omega = scene->per_term_omega, own_p = scene->per_term_polar, own_kappa = scene->per_term_thick;
    const int own_background = scene->background == BACKGROUND_EXACT;
    struct vectors S, by_S;
    double kept[LANES], p[LANES], g[LANES], intensity[LANES], by_p[LANES];
    scatter(scene, at, source, &S, kept);
    for (int lane = 0; lane < LANES; lane++) p[lane] = 1.0;
    if (scene->polarized && (own_p || own_background)) polarize(scene, at, source, p);
    SIMD for (int lane = 0; lane < LANES; lane++) {
        double omega = own_omega ? at->omega[lane] : 1.0, kappa = own_kappa ? at->kappa[lane] : 1.0;
        g[lane] = cached->factor[lane] * weight * kept[lane] * omega * kappa * (own_p ? p[lane] : 1.0);
        by_p[lane] = intensity[lane] = 0.0;
    }
    if (GROUP_ANY(any(kept)) && cached->wants_lattice) {
        lattice_vjp_block(each == ALONG, &scene->lattice, chosen_of(scene, pixels, q), &S, g, intensity, &by_S, &slice->lattice);
        scatter_vjp(each, &S, &by_S, source, turn, by_source);
    }
    REDUCE(+ : by_weight)
    for (int lane = 0; lane < LANES; lane++) {
        double omega = own_omega ? at->omega[lane] : 1.0, kappa = own_kappa ? at->kappa[lane] : 1.0;
        double polarization = own_p ? p[lane] : 1.0, plain = kept[lane] * intensity[lane];
        double term = plain * omega * kappa * polarization, by_term = cached->factor[lane];
        cached->unscaled[lane] += weight * term;
        double by_plain = by_term * weight * plain;
        turn->omega[lane] += own_omega ? by_plain * kappa * polarization : 0.0;
        turn->kappa[lane] += own_kappa ? by_plain * omega * polarization : 0.0;
        by_p[lane] += own_p ? by_plain * omega * kappa : 0.0;
        double b = own_background ? by_background[lane] * by_samples : 0.0;
        double background = at->kappa[lane] * p[lane] * at->omega[lane];
        if (each == ALONG) cached->mean[lane] += own_background ? weight * by_samples * background : 0.0;
        COLLECT(by_source, WEIGHT, by_weight, by_term * term + b * background)
        turn->omega[lane] += b * weight * at->kappa[lane] * p[lane];
        turn->kappa[lane] += b * weight * at->omega[lane] * p[lane];
        by_p[lane] += b * weight * at->omega[lane] * at->kappa[lane];
    }
    if (!each) by_source[WEIGHT] += by_weight;
    if (scene->polarized && (own_p || own_background))
        polarize_vjp(each, scene, at, source, by_p, turn, by_source, slice->geometry);
}

/* Derivatives by the cached factors, sent back to the sub-pixels and sources they were taken from. */
INLINE void cached_vjp(int each, const struct scene *scene, const struct pixels *pixels, const double *by_total,
                         const double *by_background, const struct cached *cached, struct slice *slice) {
    const int shared = scene->background == BACKGROUND_NANOBRAGG;
    double by_omega[LANES], by_p[LANES], by_kappa[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        double omega = cached->omega[lane], p = cached->polarization[lane], kappa = cached->kappa[lane];
        double o = scene->per_term_omega ? 1.0 : omega, k = scene->per_term_thick ? 1.0 : kappa;
        double q = scene->per_term_polar ? 1.0 : p, g = by_total[lane] * cached->unscaled[lane];
        double b = shared ? by_background[lane] : 0.0;
        by_omega[lane] = (scene->per_term_omega ? 0.0 : g * q * k) + b * p * kappa;
        by_p[lane] = (scene->per_term_polar ? 0.0 : g * o * k) + b * omega * kappa;
        by_kappa[lane] = (scene->per_term_thick ? 0.0 : g * o * q) + b * omega * p;
    }
    int64_t term = 0, last = -1;
    for (int lane = 0; lane < LANES; lane++) last = cached->term[lane] > last ? cached->term[lane] : last;
    for (int64_t layer = 0; layer < scene->layers; layer++)
        for (int64_t sub = 0; sub < scene->oversample * scene->oversample; sub++, term += scene->source_count) {
            const int first = layer == 0 && sub == 0, sensor = layer == scene->layers - 1 && sub == 0;
            if (!first && !(sensor && scene->has_sensor) && term > last) continue;
            struct sub_pixel at;
            struct sub_pixel_turn turn;
            sub_pixel(scene, pixels, layer, (int)sub / (int)scene->oversample, (int)sub % (int)scene->oversample, &at);
            clear_turn(&turn);
            if (first) memcpy(turn.omega, by_omega, sizeof by_omega);
            if (sensor) memcpy(turn.kappa, by_kappa, sizeof by_kappa);
            for (int64_t q = 0; q < scene->source_count && term + q <= last; q++) {
                double here[LANES];
                for (int lane = 0; lane < LANES; lane++) here[lane] = cached->term[lane] == term + q ? by_p[lane] : 0.0;
                if (any(here))
                    polarize_vjp(each, scene, &at, scene->sources + SOURCE_LENGTH * q, here, &turn,
                                 slice->sources + SOURCE_LENGTH * q * (each ? STRIDE : 1), slice->geometry);
            }
            sub_pixel_vjp(each, scene, &at, layer, &turn, slice->geometry);
        }
}

/* A block of pixels, given derivatives by its totals and backgrounds; ALONG directions, also those sums. */
INLINE void block_vjp(int each, const struct scene *scene, const struct pixels *pixels, const double *by_total,
                      const double *by_background, struct slice *slice, double *restrict total,
                      double *restrict background) {
    struct cached cached;
    find_cached(scene, pixels, &cached);
    cached.wants_lattice = GROUP_ANY(any(by_total));
    for (int lane = 0; lane < LANES; lane++) {
        double factor = by_total[lane];
        factor *= scene->per_term_omega ? 1.0 : cached.omega[lane];
        factor *= scene->per_term_polar ? 1.0 : cached.polarization[lane];
        factor *= scene->per_term_thick ? 1.0 : cached.kappa[lane];
        cached.factor[lane] = factor;
    }
    for (int64_t layer = 0; layer < scene->layers; layer++)
        for (int64_t sub = 0; sub < scene->oversample * scene->oversample; sub++) {
            struct sub_pixel at;
            struct sub_pixel_turn turn;
            sub_pixel(scene, pixels, layer, (int)sub / (int)scene->oversample, (int)sub % (int)scene->oversample, &at);
            clear_turn(&turn);
            for (int64_t q = 0; q < scene->source_count; q++)
                source_vjp(each, scene, pixels, &at, q, by_background, &cached, &turn, slice);
            sub_pixel_vjp(each, scene, &at, layer, &turn, slice->geometry);
        }
    cached_vjp(each, scene, pixels, by_total, by_background, &cached, slice);
    for (int lane = 0; each == ALONG && lane < LANES; lane++) {
        double omega = cached.omega[lane], p = cached.polarization[lane], kappa = cached.kappa[lane];
        double factor = scene->per_term_omega ? 1.0 : omega;
        factor *= scene->per_term_polar ? 1.0 : p;
        factor *= scene->per_term_thick ? 1.0 : kappa;
        total[lane] = factor * cached.unscaled[lane];
        background[lane] = scene->background == BACKGROUND_EXACT ? cached.mean[lane] : kappa * p * omega;
    }
}

#endif
