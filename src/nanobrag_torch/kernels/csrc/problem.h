/* What the kernels are told: numbers of the configuration, offsets into parameter vectors, and exported names.
 *
 * Every array is contiguous. `config` holds whole numbers, `lattice` and `geometry` real parameters in the order of
 * the enumerations below, which packing.py repeats. Every source is compiled once per instruction set, with LEVEL
 * appended to the names of its exported functions; dispatch.c chooses among them when a function is called. */
#ifndef NANOBRAG_PROBLEM_H
#define NANOBRAG_PROBLEM_H

#include "target.h"

#define PI 3.14159265358979323846

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#ifndef LEVEL
#define LEVEL _default
#endif

enum shape { SQUARE, ROUND, GAUSS, TOPHAT, DIFFUSE };
enum lookup { CONSTANT, NEAREST, TRICUBIC };
enum curvature { FLAT, CURVED_NANOBRAGG, CURVED_EXACT };
enum background { NO_BACKGROUND, BACKGROUND_NANOBRAGG, BACKGROUND_EXACT };

enum config {
    SHAPE, LOOKUP, EXACT_RADIUS, SINGLE, SIZE_H, SIZE_K, SIZE_L, FIRST_H, FIRST_K, FIRST_L, ORIENTATIONS, THREADS,
    SOURCES, LAYERS, OVERSAMPLE, PIXELS_F, CURVATURE, POINT_PIXEL, HAS_SENSOR, POLARIZED,
    PER_TERM_OMEGA, PER_TERM_POLAR, PER_TERM_THICK, BACKGROUND, HAS_DMIN
};

enum lattice_offset { COUNTS = 0, FUDGE = 3, RECIPROCAL = 4, LATTICE_LENGTH = 13 };

enum geometry_offset {
    ORIGIN = 0, FAST = 3, SLOW = 6, NORMAL = 9, PIXEL_SIZE = 12, CLOSE_DISTANCE = 13, LAYER_STEP = 14,
    ATTENUATION = 15, POINT_AREA = 16, KAHN = 17, DMIN = 18, DISTANCE = 19, BEAM = 20, BEAM_CENTRE = 23,
    SPHERE_FAST = 25, SPHERE_SLOW = 28,
    LIMIT = 31,   /* what a pixel's total may lose to terms that are left out, before its factor; 0: nothing */
    LARGEST = 32, /* what no |F| of the table, or interpolated in it, exceeds; for the limit */
    GEOMETRY_LENGTH = 33
};

enum source_offset { INCIDENT = 0, WAVELENGTH = 3, WEIGHT = 4, ELECTRIC = 5, MAGNETIC = 8, SOURCE_LENGTH = 11 };

/* The lattice's part of the problem. */
struct lattice_inputs {
    const int64_t *config;
    const double *lattice; /* [LATTICE_LENGTH] */
    const double *cells;   /* [M,3,3] rows a, b, c (Angstrom) */
    const void *table;     /* [H*K*L + 1] F, double or (SINGLE) float; the last is the value outside the grid */
};

/* Where gradients of the same things go; null where none is wanted. All are added to. */
struct lattice_gradients {
    double *lattice;
    double *cells;
    double *table; /* always double */
};

/* A scene: the lattice, one panel, the sources, and which pixels. */
struct scene_inputs {
    struct lattice_inputs lattice;
    const double *geometry; /* [GEOMETRY_LENGTH] */
    const double *sources;  /* [Q, SOURCE_LENGTH] */
    const int64_t *pixels;  /* [count] indices slow * pixels_f + fast, or null for first, first + 1, ... */
    int64_t first, count;
};

/* The orientations that a block of pixels adds up. */
struct chosen {
    const int32_t *list; /* [count], or null for all of them in their order */
    int64_t count;
};

/* Where a scene's sums go; null where one is not wanted. */
struct pixel_outputs {
    double scale;        /* factor on the total before it is stored: each variant's own */
    double *total;       /* [count] */
    float *total_single; /* [count] */
    double *background;  /* [count] */
    double *angle;       /* [count] */
};

/* Derivatives of the loss by a scene's sums. */
struct pixel_turns {
    double scale;             /* the factor that the totals were stored with */
    const double *total;      /* those by the stored totals: element i is total[stride * i]; stride 0: all the same */
    int64_t stride;
    const double *background; /* [count] or null */
};

/* Directions of one tensor in which every pixel's derivative is formed. */
struct directions {
    const double *values; /* [padded, ...]: one direction after another, zeros up to a multiple of DIRECTION_BLOCK */
    const int64_t *rows;  /* [count]: which of the K results a direction belongs to */
    int64_t count, padded;
};

#define DIRECTION_BLOCK 4 /* directions that are worked on together */

/* Directions of a scene's tensors: [GEOMETRY_LENGTH], [Q, SOURCE_LENGTH], [M,3,3], [LATTICE_LENGTH], [T]. */
struct scene_directions {
    struct directions geometry, sources, cells, lattice, table;
    int64_t count; /* K */
};

/* Where values and derivatives go; the backgrounds' are null where there is none. */
struct pixel_derivatives {
    double *total, *background;       /* [count] */
    double *by_total, *by_background; /* [count, K] */
};

/* Where a scene's gradients go; all are added to. */
struct pixel_gradients {
    struct lattice_gradients lattice;
    double *geometry; /* [GEOMETRY_LENGTH] */
    double *sources;  /* [Q, SOURCE_LENGTH] */
};

#endif
