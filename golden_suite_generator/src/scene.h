/* Everything a render needs, complete and in metres, radians and photons. */
#ifndef SCENE_H
#define SCENE_H

#include <stddef.h>
#include <stdint.h>

#include "crystal.h"
#include "detector.h"
#include "sources.h"
#include "steps.h"
#include "structure_factors.h"

#define ELECTRON_RADIUS_SQUARED 7.94079248018965e-30

typedef struct {
    int x_min, x_max, y_min, y_max; /* inclusive; x is fast; not clipped to the detector */
} Region;

typedef struct {
    Detector detector;
    Crystal crystal;
    Orientations orientations;
    Sources sources;
    Amplitudes amplitudes;
    Layers layers;
    int oversample;
    bool per_term_thick, per_term_polar, per_term_omega;
    bool polarized; /* the correction is on */
    double kahn;
    double fluence, water, background;
    double dmin;
    double steps; /* sources x phi steps x domains x sub-pixels; layers do not count */
    Region region;
    const char *mask_name;
    uint8_t *mask;
} Scene;

/* Prints the lines of cli.md 8 up to the list of sources. */
Scene settle_scene(Request request);

static inline bool in_region(const Scene *scene, int fast, int slow)
{
    const Region *r = &scene->region;
    return fast >= r->x_min && fast <= r->x_max && slow >= r->y_min && slow <= r->y_max;
}

static inline bool rendered(const Scene *scene, int fast, int slow)
{
    if (!in_region(scene, fast, slow)) return false;
    return !scene->mask || scene->mask[(size_t)slow * (size_t)scene->detector.pixels[FAST] + (size_t)fast];
}

#endif
