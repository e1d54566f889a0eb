#include "random.h"

#include <math.h>
#include <stdbool.h>

enum { MULTIPLIER = 16807, MODULUS = 2147483647, TABLE_SIZE = 32, DIVISOR = 67108864, WARM_UP = 8 };

static long long shuffle_table[TABLE_SIZE];
static long long last_drawn;

static void seed_table(Stream *stream)
{
    long long x = -*stream >= 1 ? -*stream : 1;
    for (int i = TABLE_SIZE + WARM_UP - 1; i >= 0; i--) {
        x = MULTIPLIER * x % MODULUS;
        if (i < TABLE_SIZE) shuffle_table[i] = x;
    }
    last_drawn = shuffle_table[0];
    *stream = x;
}

float draw_uniform(Stream *stream)
{
    const double ceiling = 1.0 - 1.2e-7;
    if (*stream <= 0 || last_drawn == 0) seed_table(stream);
    *stream = MULTIPLIER * *stream % MODULUS;
    int slot = (int)(last_drawn / DIVISOR);
    last_drawn = shuffle_table[slot];
    shuffle_table[slot] = *stream;
    float r = (float)((double)last_drawn * (1.0 / MODULUS));
    return (double)r > ceiling ? (float)ceiling : r;
}

Mat draw_rotation(float cap, Stream *stream)
{
    double r1 = 2.0 * draw_uniform(stream) - 1.0;
    double r2 = 2.0 * draw_uniform(stream) - 1.0;
    double r3 = 2.0 * draw_uniform(stream) - 1.0;
    double across = sqrt(1.0 - r2 * r2);
    Vec n = vec(across * sin(PI * r1), across * cos(PI * r1), r2);
    float angle = cap * powf((float)(1.0 - r3 * r3), (float)(1.0 / 3.0));
    double c = cos(angle), s = sin(angle), t = 1.0 - c;
    return (Mat){{
        {t * n.x * n.x + c, t * n.x * n.y - s * n.z, t * n.x * n.z + s * n.y},
        {t * n.y * n.x + s * n.z, t * n.y * n.y + c, t * n.y * n.z - s * n.x},
        {t * n.z * n.x - s * n.y, t * n.z * n.y + s * n.x, t * n.z * n.z + c},
    }};
}

static float log_gamma(float argument)
{
    static const double coefficient[6] = {76.18009172947146,     -86.50532032941677,   24.01409824083091,
                                          -1.231739572450155,    0.1208650973866179e-2, -0.5395239384953e-5};
    double x = argument;
    double t = x + 5.5 - (x + 0.5) * log(x + 5.5);
    double sum = 1.000000000190015;
    for (int j = 0; j < 6; j++) sum += coefficient[j] / (x + 1.0 + j);
    return (float)(-t + log(2.5066282746310005 * sum / x));
}

static float draw_gaussian(Stream *stream)
{
    static bool has_spare;
    static float spare;
    if (has_spare) {
        has_spare = false;
        return spare;
    }
    float v1, v2, s;
    do {
        v1 = (float)(2.0 * draw_uniform(stream) - 1.0);
        v2 = (float)(2.0 * draw_uniform(stream) - 1.0);
        s = v1 * v1 + v2 * v2;
    } while (s >= 1.0f || s == 0.0f);
    float factor = (float)sqrt(-2.0 * log(s) / s);
    spare = v1 * factor;
    has_spare = true;
    return v2 * factor;
}

static float poisson_small(float mean, Stream *stream)
{
    static float last_mean = -1.0f, limit;
    if (mean != last_mean) {
        last_mean = mean;
        limit = (float)exp(-(double)mean);
    }
    float n = -1.0f, t = 1.0f;
    do {
        n += 1.0f;
        t *= draw_uniform(stream);
    } while (t > limit);
    return n;
}

static float poisson_by_rejection(float mean, Stream *stream)
{
    static float last_mean = -1.0f, width, log_mean, offset;
    if (mean != last_mean) {
        last_mean = mean;
        width = (float)sqrt(2.0 * mean);
        log_mean = (float)log(mean);
        offset = mean * log_mean - log_gamma(mean + 1.0f);
    }
    float n, t, y;
    do {
        do {
            y = (float)tan(PI * draw_uniform(stream));
            n = width * y + mean;
        } while (n < 0.0f);
        n = (float)floor(n);
        float exponent = (n * log_mean - log_gamma(n + 1.0f)) - offset;
        t = (float)(0.9 * (1.0 + y * y) * exp(exponent));
    } while (draw_uniform(stream) > t);
    return n;
}

float draw_poisson(float mean, Stream *stream)
{
    if (mean > 1.0e6f) {
        double spread = sqrt(mean);
        return (float)(mean + spread * draw_gaussian(stream));
    }
    return mean < 12.0f ? poisson_small(mean, stream) : poisson_by_rejection(mean, stream);
}
