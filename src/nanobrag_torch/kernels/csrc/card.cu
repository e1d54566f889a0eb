/* The kernels for cards: what pixel_sum.c, pixel_sum_vjp.c, pixel_sum_jvp.c and lattice_sum*.c do with blocks of lanes,
 * here with one pixel per thread. Compiled by NVRTC for one scene's choices (FIXED), and for a processor as a check.
 *
 * A group (a warp) of threads owns a slice of the pixels in the vector-Jacobian products; its gradients stand beside
 * those of other groups, and `gather` adds them in their order, so that the bits of a gradient do not depend on which
 * group was faster. Only the gradient of the table is added up in memory that all share. */
#include "pixel_block.h"
#include "pixel_jvp_block.h"
#include "points.h"

#ifdef ON_CARD
#define ENTRY extern "C" __global__ void __launch_bounds__(THREADS_PER_BLOCK, 1)
#define BLOCK ((int64_t)blockIdx.x)
#define BLOCKS ((int64_t)gridDim.x)
#define THREAD ((int64_t)threadIdx.x)
#else
#define ENTRY void
static _Thread_local int64_t emulated_block, emulated_blocks, emulated_thread;
#define BLOCK emulated_block
#define BLOCKS emulated_blocks
#define THREAD emulated_thread
#endif

#define SUM 1
#define VJP 2
#define JVP 3
#define LATTICE_SUM 4
#define LATTICE_VJP 5
#ifdef ONLY
#define WANTED(QUESTION) (ONLY == QUESTION)
#else
#define WANTED(QUESTION) 1
#endif

#define THIS_THREAD (BLOCK * THREADS_PER_BLOCK + THREAD)
#define ALL_THREADS (BLOCKS * THREADS_PER_BLOCK)
#define THIS_GROUP (THIS_THREAD / WARP)
#define ALL_GROUPS (ALL_THREADS / WARP)
#define PROBLEM const int64_t *config, const double *lattice, const double *cells, const void *table
#define SCENE                                                                                                     \
    PROBLEM, const double *geometry, const double *sources, const int64_t *pixels, int64_t first, int64_t count
#define SCENE_INPUTS {{config, lattice, cells, table}, geometry, sources, pixels, first, count}

/* This thread's part of a working array of `length` numbers per thread, STRIDE apart. */
INLINE double *own_space(double *space, int64_t length) { return space + BLOCK * length * STRIDE + THREAD; }

#if WANTED(SUM)
/* Sums of every pixel of every variant. `steps`: from one variant to the next in lattice, cells, table, geometry and
 * sources. */
ENTRY nanobrag_card_pixel_sum(SCENE, int64_t count_of_variants, int64_t lattice_step, int64_t cells_step,
                              int64_t table_step, int64_t geometry_step, int64_t sources_step, const double *scales,
                              double *total, float *total_single, double *background, double *angle) {
    const struct scene_inputs all = SCENE_INPUTS;
    const struct variants variants = {count_of_variants, lattice_step, cells_step, table_step,
                                      geometry_step, sources_step, scales};
    const struct pixel_outputs outputs = {1.0, total, total_single, background, angle};
    for (int64_t unit = THIS_THREAD; unit < count * count_of_variants; unit += ALL_THREADS) {
        const int64_t variant = unit / count;
        const struct scene_inputs in = variant_inputs(&all, &variants, variant);
        const struct pixel_outputs out = variant_outputs(&outputs, &variants, variant, count);
        const struct scene scene = scene_of(&in);
        const struct span span = {unit % count, 0, 1, 1};
        struct pixels place;
        load_pixels(&in, &scene, span.first, &place);
        place.chosen = 0;
        block_sums(&scene, is_simple(&scene), &place, &span, &out);
    }
}

#endif

#if WANTED(VJP) || WANTED(LATTICE_VJP)
/* The first pixel of a group's slice. */
INLINE int64_t slice_first(int64_t count, int64_t group) { return count * group / ALL_GROUPS; }

INLINE void add_numbers(const struct number_lanes *numbers, double *out) {
    for (int i = 0; i < NUMBERS; i++) GROUP_ADD(out[i], number_lane(numbers, i)[0])
}

#if WANTED(VJP)
/* Gradients of the groups' slices: `own_cells` [groups, M, 3, 3], `own` [groups, GEOMETRY_LENGTH + Q SOURCE_LENGTH],
 * `own_numbers` [groups, NUMBERS], all 0 before; `by_table` or null; `space` [threads, the length of `own`]. */
ENTRY nanobrag_card_pixel_vjp(SCENE, double scale, const double *by_total, int64_t stride,
                              const double *by_background, double *own_cells, double *own, double *own_numbers,
                              double *by_table, double *space) {
    const struct scene_inputs in = SCENE_INPUTS;
    const struct scene scene = scene_of(&in);
    const int64_t length = GEOMETRY_LENGTH + SOURCE_LENGTH * scene.source_count, group = THIS_GROUP;
    const int64_t start = slice_first(count, group), end = slice_first(count, group + 1);
    double *mine = own_space(space, length);
    struct slice slice;
    memset(&slice, 0, sizeof slice);
    slice.geometry = mine;
    slice.sources = mine + GEOMETRY_LENGTH * STRIDE;
    slice.lattice.cells = own_cells + group * 9 * scene.lattice.orientations;
    slice.lattice.table = by_table;
    slice.lattice.wants_numbers = 1;
    for (int64_t i = 0; i < length; i++) mine[i * STRIDE] = 0.0;
    for (int64_t step = start; step < end; step += WARP) {
        const int64_t at = step + THREAD % WARP, there = at < end, pixel = there ? at : end - 1;
        double total = there ? scale * by_total[stride * pixel] : 0.0;
        double background = there && by_background ? by_background[pixel] : 0.0;
        struct pixels place;
        load_pixels(&in, &scene, pixel, &place);
        place.chosen = 0;
        if (has_one_term(&scene))
            simple_vjp_block(PER_LANE, &scene, &place, &total, &slice.lattice, slice.geometry, slice.sources, 0);
        else block_vjp(PER_LANE, &scene, &place, &total, &background, &slice, 0, 0);
    }
    for (int64_t i = 0; i < length; i++) GROUP_ADD(own[group * length + i], mine[i * STRIDE])
    add_numbers(&slice.lattice.numbers, own_numbers + group * NUMBERS);
}

#endif

/* sums[i] = the sum over groups, in their order, of parts[group * length + i]. */
ENTRY nanobrag_card_gather(const double *parts, int64_t groups, int64_t length, double *sums) {
    for (int64_t i = THIS_THREAD; i < length; i += ALL_THREADS) {
        double sum = 0.0;
        for (int64_t group = 0; group < groups; group++) sum += parts[group * length + i];
        sums[i] = sum;
    }
}

/* From gradients by the shape's numbers [NUMBERS] those by the lattice parameters (added to). */
ENTRY nanobrag_card_numbers_vjp(PROBLEM, const double *by_numbers, double *by_lattice) {
    const struct lattice_inputs in = {config, lattice, cells, table};
    struct shape_numbers g;
    if (THIS_THREAD > 0) return;
    for (int i = 0; i < 3; i++) g.N[i] = by_numbers[i];
    g.cells = by_numbers[3];
    for (int i = 0; i < 9; i++) g.W[i] = by_numbers[4 + i];
    g.scale = by_numbers[13];
    shape_numbers_vjp(CHOICE(in.config, SHAPE), CHOICE(in.config, EXACT_RADIUS), in.lattice, &g, by_lattice);
}

#endif

#if WANTED(JVP)
/* The derivatives of the shape's numbers by the lattice parameters [NUMBERS, LATTICE_LENGTH]. */
ENTRY nanobrag_card_number_slopes(PROBLEM, double *slopes) {
    const struct lattice_inputs in = {config, lattice, cells, table};
    if (THIS_THREAD > 0) return;
    const struct lattice l = lattice_of(&in);
    number_slopes(&l, slopes);
}

/* Values of pixels and their derivatives in K directions; `space` [threads, the length that jvp_space_length gives /
 * STRIDE]. */
ENTRY nanobrag_card_pixel_jvp(SCENE, const struct scene_directions *d, const double *slopes, double *total,
                              double *background, double *by_total, double *by_background, double *space) {
    const struct scene_inputs in = SCENE_INPUTS;
    const struct scene scene = scene_of(&in);
    const struct pixel_derivatives out = {total, background, by_total, by_background};
    const int64_t length = jvp_space_length(&scene, d) / STRIDE;
    const struct jvp_space mine = jvp_space_at(own_space(space, length), &scene, d);
    for (int64_t step = BLOCK * THREADS_PER_BLOCK; step < count; step += ALL_THREADS) {
        const int64_t pixel = step + THREAD < count ? step + THREAD : count - 1; /* the last thread's work again */
        const struct span span = {pixel, 0, 1, 1};
        struct pixels place;
        load_pixels(&in, &scene, pixel, &place);
        place.chosen = 0;
        jvp_of_block(&scene, d, slopes, &place, &span, &mine, &out);
    }
}

#endif

#if WANTED(LATTICE_SUM)
/* The lattice sum at S [points, 3]. */
ENTRY nanobrag_card_lattice_sum(PROBLEM, const double *S, int64_t points, double *out) {
    const struct lattice_inputs in = {config, lattice, cells, table};
    const struct lattice l = lattice_of(&in);
    for (int64_t point = THIS_THREAD; point < points; point += ALL_THREADS) {
        struct vectors v;
        double sum;
        load_vectors(S, point, points, &v);
        lattice_block(&l, all_of(&l), &v, &sum);
        out[point] = l.common * sum;
    }
}

#endif

#if WANTED(LATTICE_VJP)
/* The vector-Jacobian product of the lattice sum: `by_S` [points, 3] (set), and the groups' gradients as above. */
ENTRY nanobrag_card_lattice_vjp(PROBLEM, const double *g, const double *S, int64_t points, double *by_S,
                                double *own_cells, double *own_numbers, double *by_table) {
    const struct lattice_inputs in = {config, lattice, cells, table};
    const struct lattice l = lattice_of(&in);
    const int64_t group = THIS_GROUP, start = slice_first(points, group), end = slice_first(points, group + 1);
    struct lattice_slice slice;
    memset(&slice, 0, sizeof slice);
    slice.cells = own_cells + group * 9 * l.orientations;
    slice.table = by_table;
    slice.wants_numbers = 1;
    for (int64_t step = start; step < end; step += WARP) {
        const int64_t at = step + THREAD % WARP, there = at < end, point = there ? at : end - 1;
        const double weight = there ? g[point] : 0.0;
        struct vectors v, turn;
        double sum;
        load_vectors(S, point, points, &v);
        lattice_vjp_block(0, &l, all_of(&l), &v, &weight, &sum, &turn, &slice);
        if (!there) continue;
        by_S[3 * point] = turn.x[0];
        by_S[3 * point + 1] = turn.y[0];
        by_S[3 * point + 2] = turn.z[0];
    }
    add_numbers(&slice.numbers, own_numbers + group * NUMBERS);
}
#endif
