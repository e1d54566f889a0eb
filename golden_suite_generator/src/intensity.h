/* The value of one pixel, and the stages it is made of (specification: intensity.md). */
#ifndef INTENSITY_H
#define INTENSITY_H

#include "scene.h"

/* One orientation at one scattering vector. */
typedef struct {
    double hkl[3];
    int nearest[3];
    double off[3];
    double f_latt, f_cell;
    bool outside; /* of the interpolation range */
} Sample;

/* One sub-pixel in one layer. */
typedef struct {
    Vec position, direction;
    double distance, omega, capture;
} SubPixel;

typedef struct {
    double value;
    double sum; /* background and terms, before the cached factors and the scale */
    double omega, polar, capture; /* cached */
    double last_cos_2theta;
    double solid_angle; /* sum over layers and sub-pixels of the factor in use */
    Sample last;
    Vec last_position;
    double last_q;
    bool outside;
    Sample first_outside;
} Pixel;

SubPixel sub_pixel(const Scene *scene, int fast, int slow, int layer, int sub_slow, int sub_fast);
double polarization(const Scene *scene, Vec incident, Vec direction);
bool cut_by_dmin(const Scene *scene, Vec q);
Sample lattice_sample(const Scene *scene, const Basis *cell, Vec q);
Pixel pixel_value(const Scene *scene, int fast, int slow);

#endif
