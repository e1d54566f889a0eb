/* The generator and its deviates (specification: rng.md). */
#ifndef RANDOM_H
#define RANDOM_H

#include "vector.h"

/* State of one stream; the shuffle table is shared by all streams. */
typedef long long Stream;

float draw_uniform(Stream *stream);
Mat draw_rotation(float cap, Stream *stream);
float draw_poisson(float mean, Stream *stream);

#endif
