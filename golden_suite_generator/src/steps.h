/* Counts, ranges and steps from what was said (specification: sources.md 1 to 5). */
#ifndef STEPS_H
#define STEPS_H

#include "request.h"

typedef struct {
    int count;
    double range, step;
} Steps;

typedef struct {
    int count;
    double step, thickness, mu; /* mu is -1 when never set */
} Layers;

typedef struct {
    int count;
    double spread;
} Domains;

Steps divergence_steps(Int count, Real range, Real step, const char *axis);
Steps dispersion_steps(Int count, Real width);
Steps phi_steps(Int count, Real osc, Real step);
/* These two print the warnings of the specification. */
Layers sensor_layers(const Request *request);
Domains mosaic_domains(Int count, Real spread);

#endif
