/* Which pixels a block holds: consecutive ones of the list or, where orientations may be left out (bounds.h), a tile of
 * the panel, whose directions lie close together. */
#ifndef NANOBRAG_TILES_H
#define NANOBRAG_TILES_H

#include "geometry.h"

#define TILE_FAST (LANES >= 16 ? 16 : LANES)
#define TILE_SLOW (LANES / TILE_FAST)

struct tiles {
    int64_t blocks, across; /* in all, and along a row of tiles */
    int tiled;
};

/* Whole rows are cut into tiles; other lists stay as they are, and the pixels of a block may lie far apart. */
INLINE struct tiles tiles_of(const struct scene_inputs *in, const struct scene *s) {
    struct tiles t;
    t.tiled = s->geometry[LIMIT] > 0.0 && !in->pixels && in->first % (TILE_SLOW * s->pixels_f) == 0 &&
              in->count % s->pixels_f == 0;
    t.across = (s->pixels_f + TILE_FAST - 1) / TILE_FAST;
    t.blocks = t.tiled ? t.across * ((in->count / s->pixels_f + TILE_SLOW - 1) / TILE_SLOW)
                       : (in->count + LANES - 1) / LANES;
    return t;
}

/* A block's lanes in a list: `height` rows of `width` lanes, the first at `first`, the next `row` further on. */
struct span {
    int64_t first, row;
    int width, height;
};

INLINE struct span span_of(const struct scene_inputs *in, const struct scene *s, const struct tiles *t, int64_t block) {
    struct span span = {block * LANES, 0, LANES, 1};
    if (!t->tiled) {
        if (in->count - span.first < LANES) span.width = (int)(in->count - span.first);
        return span;
    }
    const int64_t fast = block % t->across * TILE_FAST, slow = block / t->across * TILE_SLOW;
    const int64_t rows = in->count / s->pixels_f;
    span.first = slow * s->pixels_f + fast;
    span.row = s->pixels_f;
    span.width = (int)(s->pixels_f - fast < TILE_FAST ? s->pixels_f - fast : TILE_FAST);
    span.height = (int)(rows - slow < TILE_SLOW ? rows - slow : TILE_SLOW);
    return span;
}

/* The coordinates of a block's lanes; `chosen` stays as it is. */
INLINE void load_block(const struct scene_inputs *in, const struct scene *s, const struct tiles *t,
                       const struct span *span, struct pixels *out) {
    if (!t->tiled) {
        load_pixels(in, s, span->first, out);
        return;
    }
    const int64_t first = in->first + span->first;
    const double fast = (double)(first % s->pixels_f), slow = (double)(first / s->pixels_f);
    for (int lane = 0; lane < LANES; lane++) {
        const int x = lane % TILE_FAST, y = lane / TILE_FAST;
        out->fast[lane] = fast + (double)(x < span->width ? x : span->width - 1);
        out->slow[lane] = slow + (double)(y < span->height ? y : span->height - 1);
    }
}

/* Whole coordinates between which a block lies. */
struct range {
    double first_fast, last_fast, first_slow, last_slow;
};

INLINE struct range range_of(const struct scene_inputs *in, const struct scene *s, const struct tiles *t,
                             const struct span *span) {
    struct range r;
    if (t->tiled) {
        const int64_t first = in->first + span->first;
        r.first_fast = (double)(first % s->pixels_f), r.last_fast = r.first_fast + (double)(span->width - 1);
        r.first_slow = (double)(first / s->pixels_f), r.last_slow = r.first_slow + (double)(span->height - 1);
        return r;
    }
    struct pixels p;
    load_pixels(in, s, span->first, &p);
    r.first_fast = r.last_fast = p.fast[0], r.first_slow = r.last_slow = p.slow[0];
    for (int lane = 1; lane < LANES; lane++) {
        r.first_fast = p.fast[lane] < r.first_fast ? p.fast[lane] : r.first_fast;
        r.last_fast = p.fast[lane] > r.last_fast ? p.fast[lane] : r.last_fast;
        r.first_slow = p.slow[lane] < r.first_slow ? p.slow[lane] : r.first_slow;
        r.last_slow = p.slow[lane] > r.last_slow ? p.slow[lane] : r.last_slow;
    }
    return r;
}

/* Place in the list of a lane, or -1 where it stands for no pixel. */
INLINE int64_t place_of(const struct span *s, int lane) {
    if (s->height == 1 && !s->row) return lane < s->width ? s->first + lane : -1;
    const int x = lane % TILE_FAST, y = lane / TILE_FAST;
    return x < s->width && y < s->height ? s->first + y * s->row + x : -1;
}

INLINE void store(const double *values, const struct span *s, double *out) {
    if (!out) return;
    for (int y = 0; y < s->height; y++)
        memcpy(out + s->first + y * s->row, values + y * TILE_FAST, (size_t)s->width * sizeof *out);
}

INLINE void store_single(const double *values, const struct span *s, float *out) {
    if (!out) return;
    if (s->width == LANES) {
        SIMD for (int lane = 0; lane < LANES; lane++) out[s->first + lane] = (float)values[lane];
        return;
    }
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) out[s->first + y * s->row + x] = (float)values[y * TILE_FAST + x];
}

#endif
