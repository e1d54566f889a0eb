/* Noise of a float image with the legacy generator (specs: rng 1, 5, 6, 7; io_formats 5; noisify 3, 4).
 *
 * Every statement keeps the precision of the specification: a float is rounded to single precision where it is
 * stored, library functions run in double, and nothing is fused (compiled with -ffp-contract=off). The state
 * goes in and out through the caller's structure; there are no globals. The twin in plain Python is
 * nanobrag_torch/legacy_random.py.
 */
#include <math.h>
#include <stdint.h>

#define MULTIPLIER 16807
#define MODULUS 2147483647
#define TABLE_SIZE 32
#define DIVISOR 67108864
#define WARM_UP 8
#define PI 3.14159265358979323846
#define KNOWN 4096

typedef struct {
    int64_t table[TABLE_SIZE];
    int64_t last;       /* y, 0 before the first draw */
    int64_t stream;     /* x of the noise stream */
    int32_t has_spare;  /* of the Gaussian */
    float spare;
} noise_state;

/* What the rejection method remembers: the constants of its last mean, and ln Gamma(n+1) of small n (0 = not yet). */
typedef struct {
    float mean, root, log_mean, log_peak;
    float log_factorial[KNOWN];
} rejection;

static inline float uniform(noise_state *s)
{
    if (s->stream <= 0 || s->last == 0) {
        s->stream = -s->stream >= 1 ? -s->stream : 1;
        for (int i = TABLE_SIZE + WARM_UP - 1; i >= 0; i--) {
            s->stream = MULTIPLIER * s->stream % MODULUS;
            if (i < TABLE_SIZE)
                s->table[i] = s->stream;
        }
        s->last = s->table[0];
    }
    s->stream = MULTIPLIER * s->stream % MODULUS;
    int64_t j = s->last / DIVISOR;
    s->last = s->table[j];
    s->table[j] = s->stream;
    float r = (float)((double)s->last * (1.0 / MODULUS));
    return (double)r > 1.0 - 1.2e-7 ? (float)(1.0 - 1.2e-7) : r;
}

static float gaussian(noise_state *s)
{
    if (s->has_spare) {
        s->has_spare = 0;
        return s->spare;
    }
    float v1, v2, square;
    do {
        v1 = (float)(2.0 * (double)uniform(s) - 1.0);
        v2 = (float)(2.0 * (double)uniform(s) - 1.0);
        float a = v1 * v1, b = v2 * v2;
        square = a + b;
    } while (square >= 1.0f || square == 0.0f);
    float factor = (float)sqrt(-2.0 * log((double)square) / (double)square);
    s->spare = v1 * factor;
    s->has_spare = 1;
    return v2 * factor;
}

static float log_gamma(float argument)
{
    static const double c[6] = {76.18009172947146,  -86.50532032941677,    24.01409824083091,
                                -1.231739572450155, 0.1208650973866179e-2, -0.5395239384953e-5};
    double x = argument, t = x + 5.5, series = 1.000000000190015;
    t -= (x + 0.5) * log(t);
    for (int j = 0; j < 6; j++)
        series += c[j] / (x + (j + 1));
    return (float)(-t + log(2.5066282746310005 * series / x));
}

static inline float log_factorial(rejection *r, float n)
{
    if (!(n < KNOWN))
        return log_gamma((float)((double)n + 1.0));
    float *known = &r->log_factorial[(int)n];
    if (*known == 0.0f)
        *known = log_gamma((float)((double)n + 1.0));
    return *known;
}

static float poisson_rejection(noise_state *s, float mean, rejection *r)
{
    if (mean != r->mean) {
        r->mean = mean;
        r->root = (float)sqrt(2.0 * (double)mean);
        r->log_mean = (float)log((double)mean);
        float product = mean * r->log_mean;
        r->log_peak = product - log_gamma((float)((double)mean + 1.0));
    }
    float n, t;
    do {
        float y;
        do {
            y = (float)tan(PI * (double)uniform(s));
            float offset = r->root * y;
            n = offset + mean;
        } while (n < 0.0f);
        n = (float)floor((double)n);
        float product = n * r->log_mean;
        float exponent = product - log_factorial(r, n);
        exponent = exponent - r->log_peak;
        float square = y * y;
        t = (float)(0.9 * (1.0 + (double)square) * exp((double)exponent));
    } while (uniform(s) > t);
    return n;
}

static float poisson(noise_state *s, float mean, rejection *r)
{
    if ((double)mean > 1.0e6)
        return (float)((double)mean + sqrt((double)mean) * (double)gaussian(s));
    if (mean < 12.0f) {
        float limit = (float)exp(-(double)mean), t = 1.0f, n = -1.0f;
        do {
            n += 1.0f;
            t *= uniform(s);
        } while (t > limit);
        return n;
    }
    return poisson_rejection(s, mean, r);
}

/* Counts of the pixels x0 <= x < x1, y0 <= y < y1 in raster order; the others are left as they are.
 *
 * image, counts: [pixels_s, pixels_f], fast axis last. photons, overloads: the totals of this call. */
void nanobrag_noise_image(const float *image, int64_t pixels_f, int64_t x0, int64_t x1, int64_t y0, int64_t y1,
                          double adc, uint16_t *counts, noise_state *state, double *photons, int64_t *overloads)
{
    noise_state local = *state;
    rejection constants = {.mean = -1.0f};
    double total = 0.0;
    int64_t over = 0;
    for (int64_t y = y0; y < y1; y++)
        for (int64_t x = x0; x < x1; x++) {
            double n = poisson(&local, image[y * pixels_f + x], &constants);
            total += n;
            double z = n + adc;
            if (z > 65535.0) {
                z = 65535.0;
                over++;
            }
            counts[y * pixels_f + x] = z > 0.0 ? (uint16_t)z : 0;
        }
    *state = local;
    *photons = total;
    *overloads = over;
}

/* A Gaussian deviate of another stream, which shares everything but its state (specs: noisify 4). */
static float gaussian_of(noise_state *s, int64_t *stream)
{
    int64_t own = s->stream;
    s->stream = *stream;
    float deviate = gaussian(s);
    *stream = s->stream;
    s->stream = own;
    return deviate;
}

/* Counted photons of expected ones, [count], with flicker and calibration noise first (specs: noisify 3, step 4). */
void nanobrag_noisify_photons(const float *expected, int64_t count, double flicker, double calibration, float *photons,
                              noise_state *state, int64_t *calibration_stream)
{
    noise_state local = *state;
    rejection constants = {.mean = -1.0f};
    for (int64_t i = 0; i < count; i++) {
        double q = expected[i];
        if (flicker > 0.0)
            q *= 1.0 + flicker * (double)gaussian(&local);
        if (calibration > 0.0)
            q *= 1.0 + calibration * (double)gaussian_of(&local, calibration_stream);
        photons[i] = poisson(&local, (float)q, &constants);
    }
    *state = local;
}

/* Stored values of counted photons, [count], before they are cut to whole numbers of `bits` (step 6). */
void nanobrag_noisify_readout(const float *photons, int64_t count, double gain, double adc, double readout,
                              double *values, noise_state *state)
{
    noise_state local = *state;
    for (int64_t i = 0; i < count; i++) {
        double a = photons[i] * gain + adc;
        if (readout > 0.0)
            a += readout * (double)gaussian(&local);
        values[i] = a;
    }
    *state = local;
}
