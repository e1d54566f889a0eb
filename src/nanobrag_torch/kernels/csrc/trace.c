/* The tracing build: the kernel's own source, one lane wide, which writes down what it forms on the way to one pixel.
 *
 * The same text as pixel_sum.c is compiled, for the baseline instructions: no vectors, no fused products. */
#include <stdint.h>

static struct {
    const char **names;
    double *values;
    int64_t room, count;
} taps;

static void tap(const char *name, double value) {
    if (taps.count < taps.room) taps.names[taps.count] = name, taps.values[taps.count] = value;
    taps.count++;
}

#define TRACED
#define LANES 1
#undef LEVEL
#define LEVEL _traced
#include "pixel_sum.c"

/* Writes the first `room` names and values of a pixel and says how many there are, or -1 when there is no memory. */
int64_t nanobrag_pixel_trace(const int64_t *config, const double *lattice, const double *cells, const void *table,
                             const double *geometry, const double *sources, int64_t pixel, double scale,
                             const char **names, double *values, int64_t room) {
    const struct scene_inputs in = {{config, lattice, cells, table}, geometry, sources, &pixel, 0, 1};
    const struct variants one = {1, 0, 0, 0, 0, 0, &scale};
    double total = 0.0, background = 0.0;
    const struct pixel_outputs out = {1.0, &total, 0, &background, 0};
    taps.names = names, taps.values = values, taps.room = room, taps.count = 0;
    return pixel_sum_traced(&in, &one, &out) ? -1 : taps.count;
}
