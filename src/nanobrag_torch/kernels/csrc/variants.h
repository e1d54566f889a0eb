/* Several variants of one scene: the same configuration and pixels, other numbers. */
#ifndef NANOBRAG_VARIANTS_H
#define NANOBRAG_VARIANTS_H

#include "problem.h"

struct variants {
    int64_t count;
    /* from one variant to the next, in numbers; 0 where all share a tensor */
    int64_t lattice, cells, table, geometry, sources;
    const double *scales; /* [count]: each one's factor on its totals */
};

INLINE struct scene_inputs variant_inputs(const struct scene_inputs *all, const struct variants *v, int64_t variant) {
    struct scene_inputs in = *all;
    in.lattice.lattice += variant * v->lattice;
    in.lattice.cells += variant * v->cells;
    if (all->lattice.config[SINGLE]) in.lattice.table = (const float *)all->lattice.table + variant * v->table;
    else in.lattice.table = (const double *)all->lattice.table + variant * v->table;
    in.geometry += variant * v->geometry;
    in.sources += variant * v->sources;
    return in;
}

INLINE struct pixel_outputs variant_outputs(const struct pixel_outputs *all, const struct variants *v, int64_t variant,
                                            int64_t pixels) {
    struct pixel_outputs out = *all;
    out.scale = v->scales[variant];
    if (out.total) out.total += variant * pixels;
    if (out.total_single) out.total_single += variant * pixels;
    if (out.background) out.background += variant * pixels;
    if (out.angle) out.angle += variant * pixels;
    return out;
}

#endif
