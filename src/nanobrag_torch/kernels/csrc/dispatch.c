/* The exported functions: each calls its copy for the best instruction set that this processor has. */
#include "variants.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#define DECLARE(LEVEL_)                                                                                          \
    void JOIN(lattice_sum, LEVEL_)(const struct lattice_inputs *, const double *, int64_t, double *);            \
    int JOIN(lattice_sum_vjp, LEVEL_)(const struct lattice_inputs *, const double *, const double *, int64_t,    \
                                      double *, const struct lattice_gradients *);                               \
    int JOIN(pixel_sum, LEVEL_)(const struct scene_inputs *, const struct variants *,                            \
                                const struct pixel_outputs *);                                                   \
    int JOIN(pixel_sum_vjp, LEVEL_)(const struct scene_inputs *, const struct pixel_turns *,                     \
                                    const struct pixel_gradients *);                                            \
    int JOIN(pixel_sum_jvp, LEVEL_)(const struct scene_inputs *, const struct scene_directions *,                \
                                    const struct pixel_derivatives *);

DECLARE(_default)
#ifdef HAS_LEVELS
DECLARE(_v3)
DECLARE(_v4)
#define CALL(NAME, ...) \
    (level() == 4 ? NAME##_v4(__VA_ARGS__) : level() == 3 ? NAME##_v3(__VA_ARGS__) : NAME##_default(__VA_ARGS__))
#else
#define CALL(NAME, ...) NAME##_default(__VA_ARGS__)
#endif

static int limit = 4;

static int level(void) {
#ifdef HAS_LEVELS
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512cd");
    int best = avx2 && avx512 ? 4 : avx2 ? 3 : 1;
    return best < limit ? best : limit;
#else
    return 1;
#endif
}

/* The level of instructions in use: 4 AVX-512, 3 AVX2, 1 the baseline. A positive `most` sets an upper limit. */
int nanobrag_level(int most) {
    if (most > 0) limit = most;
    return level();
}

/* Ask for large pages where a fresh array will be written for the first time: thousands of page faults fewer. */
static void expect_writing(void *array, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t page = (uintptr_t)1 << 21, start = ((uintptr_t)array + page - 1) & ~(page - 1);
    const uintptr_t end = ((uintptr_t)array + (uintptr_t)bytes) & ~(page - 1);
    if (array && end > start) madvise((void *)start, end - start, MADV_HUGEPAGE);
#else
    (void)array, (void)bytes;
#endif
}

void nanobrag_lattice_sum(const int64_t *config, const double *lattice, const double *cells, const void *table,
                          const double *S, int64_t points, double *out) {
    const struct lattice_inputs in = {config, lattice, cells, table};
    CALL(lattice_sum, &in, S, points, out);
}

int nanobrag_lattice_sum_vjp(const int64_t *config, const double *lattice, const double *cells, const void *table,
                             const double *by_sum, const double *S, int64_t points, double *by_S, double *by_lattice,
                             double *by_cells, double *by_table) {
    const struct lattice_inputs in = {config, lattice, cells, table};
    const struct lattice_gradients out = {by_lattice, by_cells, by_table};
    return CALL(lattice_sum_vjp, &in, by_sum, S, points, by_S, &out);
}

/* `steps`: from one variant to the next in lattice, cells, table, geometry and sources; `scales` [variants]. */
int nanobrag_pixel_sum(const int64_t *config, const double *lattice, const double *cells, const void *table,
                       const double *geometry, const double *sources, const int64_t *pixels, int64_t first,
                       int64_t count, int64_t variants, const int64_t *steps, const double *scales, double *total,
                       float *total_single, double *background, double *angle) {
    const struct scene_inputs in = {{config, lattice, cells, table}, geometry, sources, pixels, first, count};
    const struct variants all = {variants, steps[0], steps[1], steps[2], steps[3], steps[4], scales};
    const struct pixel_outputs out = {1.0, total, total_single, background, angle};
    expect_writing(total, variants * count * (int64_t)sizeof *total);
    expect_writing(total_single, variants * count * (int64_t)sizeof *total_single);
    return CALL(pixel_sum, &in, &all, &out);
}

int nanobrag_pixel_sum_vjp(const int64_t *config, const double *lattice, const double *cells, const void *table,
                           const double *geometry, const double *sources, const int64_t *pixels, int64_t first,
                           int64_t count, double scale, const double *by_total, int64_t stride,
                           const double *by_background, double *by_lattice, double *by_cells, double *by_table,
                           double *by_geometry, double *by_sources) {
    const struct scene_inputs in = {{config, lattice, cells, table}, geometry, sources, pixels, first, count};
    const struct pixel_gradients out = {{by_lattice, by_cells, by_table}, by_geometry, by_sources};
    const struct pixel_turns by = {scale, by_total, stride, by_background};
    return CALL(pixel_sum_vjp, &in, &by, &out);
}

/* `directions`, `rows`, `counts` and `padded` have one entry each for geometry, sources, cells, lattice and table. */
int nanobrag_pixel_sum_jvp(const int64_t *config, const double *lattice, const double *cells, const void *table,
                           const double *geometry, const double *sources, const int64_t *pixels, int64_t first,
                           int64_t count, const double *const *directions, const int64_t *const *rows,
                           const int64_t *counts, const int64_t *padded, int64_t results, double *total,
                           double *background, double *by_total, double *by_background) {
    const struct scene_inputs in = {{config, lattice, cells, table}, geometry, sources, pixels, first, count};
    const struct pixel_derivatives out = {total, background, by_total, by_background};
    struct directions d[5];
    for (int i = 0; i < 5; i++) {
        const struct directions one = {directions[i], rows[i], counts[i], padded[i]};
        d[i] = one;
    }
    const struct scene_directions all = {d[0], d[1], d[2], d[3], d[4], results};
    expect_writing(by_total, count * results * (int64_t)sizeof *by_total);
    return CALL(pixel_sum_jvp, &in, &all, &out);
}
