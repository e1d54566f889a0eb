/* Random numbers that belong to a pixel: Philox4x32-10 (Salmon et al., SC11, 2011), keyed by the seed, counted by pixel,
 * frame, purpose and attempt. The twin in NumPy is nanobrag_torch/random.py. */
#include <math.h>
#include <stdint.h>

#define PI 3.14159265358979323846
#define ROUNDS 10
#define LARGEST_INVERTED 10.0
#define LARGEST_MEAN 1e15
#define MOST_ATTEMPTS 1000

typedef struct {
    uint64_t seed, frame, purpose;
} stream;

static inline void philox(const stream *s, uint64_t pixel, uint32_t attempt, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)pixel, c1 = (uint32_t)(pixel >> 32), c2 = (uint32_t)s->frame;
    uint32_t c3 = (uint32_t)s->purpose | attempt << 8, k0 = (uint32_t)s->seed, k1 = (uint32_t)(s->seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Two deviates in (0, 1), with 53 bits each. */
static inline void uniforms(const stream *s, uint64_t pixel, uint32_t attempt, double *u, double *v)
{
    uint32_t w[4];
    philox(s, pixel, attempt, w);
    *u = ((double)(w[0] >> 5) * 67108864.0 + (double)(w[1] >> 6) + 0.5) * (1.0 / 9007199254740992.0);
    *v = ((double)(w[2] >> 5) * 67108864.0 + (double)(w[3] >> 6) + 0.5) * (1.0 / 9007199254740992.0);
}

static double log_factorial(double n)
{
    static const double small[10] = {0.0, 0.0, 0.69314718055994531, 1.791759469228055, 3.1780538303479456,
                                     4.787491742782046, 6.579251212010101, 8.525161361065415, 10.60460290274525,
                                     12.801827480081469};
    if (n < 10.0) return small[(int)n];
    double r = 1.0 / n, q = r * r;
    return (n + 0.5) * log(n) - n + 0.91893853320467274 + r * (1.0 / 12.0 - q * (1.0 / 360.0 - q * (1.0 / 1260.0)));
}

/* Inversion for small means, else the transformed rejection PTRS (Hoermann 1993). */
static double poisson(const stream *s, uint64_t pixel, double mean)
{
    double u, v;
    if (!(mean > 0.0)) return 0.0;
    if (mean > LARGEST_MEAN) return floor(mean);
    if (mean < LARGEST_INVERTED) {
        uniforms(s, pixel, 0, &u, &v);
        double p = exp(-mean), sum = p, n = 0.0;
        while (u > sum && n < 200.0) {
            n += 1.0;
            p *= mean / n;
            sum += p;
        }
        return n;
    }
    const double root = sqrt(mean), b = 0.931 + 2.53 * root, a = -0.059 + 0.02483 * b, log_mean = log(mean);
    const double alpha = 1.1239 + 1.1328 / (b - 3.4), quick = 0.9277 - 3.6224 / (b - 2.0);
    for (uint32_t attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        uniforms(s, pixel, attempt, &u, &v);
        u -= 0.5;
        double within = 0.5 - fabs(u), n = floor((2.0 * a / within + b) * u + mean + 0.43);
        if (within >= 0.07 && v <= quick) return n;
        if (n < 0.0 || (within < 0.013 && v > within)) continue;
        if (log(v * alpha / (a / (within * within) + b)) <= n * log_mean - mean - log_factorial(n)) return n;
    }
    return floor(mean);
}

/* Poisson deviates of means [count] for pixels first, first + 1, ... */
void nanobrag_philox_poisson(const double *means, int64_t count, uint64_t first, uint64_t seed, uint64_t frame,
                             uint64_t purpose, int threads, double *out)
{
    const stream s = {seed, frame, purpose};
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < count; i++) out[i] = poisson(&s, first + (uint64_t)i, means[i]);
    (void)threads;
}

/* Normal deviates [count]. */
void nanobrag_philox_normal(int64_t count, uint64_t first, uint64_t seed, uint64_t frame, uint64_t purpose, int threads,
                            double *out)
{
    const stream s = {seed, frame, purpose};
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < count; i++) {
        double u, v;
        uniforms(&s, first + (uint64_t)i, 0, &u, &v);
        out[i] = sqrt(-2.0 * log(u)) * cos(2.0 * PI * v);
    }
    (void)threads;
}
