/* Directional derivatives of a block's sums: its adjoint, lane by lane, contracted with every direction. */
#ifndef NANOBRAG_PIXEL_JVP_BLOCK_H
#define NANOBRAG_PIXEL_JVP_BLOCK_H

#include "pixel_vjp_block.h"
#include "tiles.h"

#define NUMBERS 14 /* what a shape's formula uses: N, cells, W, scale */

/* Working arrays of one thread, in doubles, and where they begin. */
struct jvp_space {
    double *geometry, *sources; /* [GEOMETRY_LENGTH, STRIDE], [Q, SOURCE_LENGTH, STRIDE] */
    double *cells, *table;      /* [padded, STRIDE] each */
    double *along;              /* [K, STRIDE] */
};

INLINE int64_t jvp_space_length(const struct scene *scene, const struct scene_directions *d) {
    return STRIDE * (GEOMETRY_LENGTH + SOURCE_LENGTH * scene->source_count + d->cells.padded + d->table.padded + d->count);
}

INLINE struct jvp_space jvp_space_at(double *memory, const struct scene *scene, const struct scene_directions *d) {
    struct jvp_space s;
    s.geometry = memory;
    s.sources = s.geometry + STRIDE * GEOMETRY_LENGTH;
    s.cells = s.sources + STRIDE * SOURCE_LENGTH * scene->source_count;
    s.along = s.cells + STRIDE * d->cells.padded;
    s.table = s.along + STRIDE * d->count;
    return s;
}

INLINE void clear_space(const struct jvp_space *space, int64_t length) {
    ROLLED for (int64_t i = 0; i < length; i += STRIDE)
        for (int lane = 0; lane < LANES; lane++) space->geometry[i + lane] = 0.0;
}

/* The derivatives of the shape's numbers by the lattice parameters, [NUMBERS, LATTICE_LENGTH]. */
INLINE void number_slopes(const struct lattice *l, double *out) {
    for (int i = 0; i < NUMBERS * LATTICE_LENGTH; i++) out[i] = 0.0;
    for (int i = 0; i < NUMBERS; i++) {
        struct shape_numbers unit;
        memset(&unit, 0, sizeof unit);
        if (i < 3) unit.N[i] = 1.0;
        else if (i == 3) unit.cells = 1.0;
        else if (i < 13) unit.W[i - 4] = 1.0;
        else unit.scale = 1.0;
        shape_numbers_vjp(l->shape, (int)l->in.config[EXACT_RADIUS], l->in.lattice, &unit, out + i * LATTICE_LENGTH);
    }
}

INLINE const double *number_lane(const struct number_lanes *lanes, int i) {
    return i < 3 ? lanes->N[i] : i == 3 ? lanes->cells : i < 13 ? lanes->W[i - 4] : lanes->scale;
}

INLINE void add_product(double factor, const double *restrict lanes, double *restrict out) {
    if (factor == 0.0) return;
    SIMD for (int lane = 0; lane < LANES; lane++) out[lane] += factor * lanes[lane];
}

/* along[row] += sum over i of direction[i] * lanes[i] */
INLINE void contract(const struct directions *d, int64_t length, const double *lanes, double *along) {
    ROLLED for (int64_t k = 0; k < d->count; k++)
        ROLLED for (int64_t i = 0; i < length; i++)
            add_product(d->values[k * length + i], lanes + i * STRIDE, along + d->rows[k] * STRIDE);
}

INLINE void contract_numbers(const struct directions *d, const double *slopes, const struct number_lanes *lanes,
                             double *along) {
    ROLLED for (int64_t k = 0; k < d->count; k++)
        for (int i = 0; i < NUMBERS; i++) {
            double factor = 0.0;
            ROLLED for (int j = 0; j < LATTICE_LENGTH; j++)
                factor += slopes[i * LATTICE_LENGTH + j] * d->values[k * LATTICE_LENGTH + j];
            add_product(factor, number_lane(lanes, i), along + d->rows[k] * STRIDE);
        }
}

/* From derivatives by a block's totals and backgrounds: `along` of the space, and the sums themselves. */
INLINE void block_jvp(const struct scene *scene, int simple, const struct scene_directions *d, const double *slopes,
                      const struct pixels *pixels, const double *by_total, const double *by_background,
                      const struct jvp_space *space, double *total, double *background) {
    struct slice slice;
    memset(&slice, 0, sizeof slice);
    clear_space(space, jvp_space_length(scene, d));
    slice.geometry = space->geometry;
    slice.sources = space->sources;
    slice.lattice.wants_numbers = 1;
    slice.lattice.cell_directions = &d->cells;
    slice.lattice.table_directions = &d->table;
    slice.lattice.along_cells = space->cells;
    slice.lattice.along_table = space->table;
    if (simple)
        simple_vjp_block(ALONG, scene, pixels, by_total, &slice.lattice, slice.geometry, slice.sources, total);
    else block_vjp(ALONG, scene, pixels, by_total, by_background, &slice, total, background);
    contract(&d->geometry, GEOMETRY_LENGTH, space->geometry, space->along);
    contract(&d->sources, SOURCE_LENGTH * scene->source_count, space->sources, space->along);
    contract_numbers(&d->lattice, slopes, &slice.lattice.numbers, space->along);
    ROLLED for (int64_t k = 0; k < d->cells.count; k++)
        add_product(1.0, space->cells + k * STRIDE, space->along + d->cells.rows[k] * STRIDE);
    ROLLED for (int64_t k = 0; k < d->table.count; k++)
        add_product(1.0, space->table + k * STRIDE, space->along + d->table.rows[k] * STRIDE);
}

/* Store lanes of `along` [K, STRIDE] as rows of K numbers. */
INLINE void store_rows(const double *along, int64_t count, const struct span *span, double *out) {
    for (int lane = 0; lane < LANES; lane++) {
        const int64_t place = place_of(span, lane);
        if (place < 0) continue;
        ROLLED for (int64_t k = 0; k < count; k++) out[place * count + k] = along[k * STRIDE + lane];
    }
}

/* One block of pixels: values and derivatives by every direction. */
INLINE void jvp_of_block(const struct scene *scene, const struct scene_directions *d, const double *slopes,
                         const struct pixels *pixels, const struct span *span, const struct jvp_space *space,
                         const struct pixel_derivatives *out) {
    const int simple = has_one_term(scene), questions = scene->background == NO_BACKGROUND ? 1 : 2;
    ROLLED for (int of_background = 0; of_background < questions; of_background++) { /* one copy of the code for both */
        double by_total[LANES], by_background[LANES], total[LANES], background[LANES];
        for (int lane = 0; lane < LANES; lane++)
            by_total[lane] = !of_background, by_background[lane] = of_background;
        block_jvp(scene, simple, d, slopes, pixels, by_total, by_background, space, total, background);
        store(of_background ? background : total, span, of_background ? out->background : out->total);
        store_rows(space->along, d->count, span, of_background ? out->by_background : out->by_total);
    }
}

#endif
