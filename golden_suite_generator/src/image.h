/* The whole image and its statistics (specification: intensity.md 7). */
#ifndef IMAGE_H
#define IMAGE_H

#include "intensity.h"

typedef struct {
    float *value; /* [slow][fast] */
    double solid_angle; /* steradian, as reported */
    bool outside;
    Sample first_outside;
    double max, max_fast, max_slow; /* value and position, metres */
    double mean, rms, rmsd;
} Image;

Image render(const Scene *scene, bool show_progress);

#endif
