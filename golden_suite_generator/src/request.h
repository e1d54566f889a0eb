/* What the command line said: nothing is defaulted that depends on other words. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>

#include "vector.h"

typedef struct {
    bool given;
    double value;
} Real;

typedef struct {
    bool given;
    int value;
} Int;

typedef struct {
    bool given;
    Vec value;
} Axis;

typedef enum { ADXV, MOSFLM, DENZO, XDS, DIALS, CUSTOM } Convention;
typedef enum { PIVOT_BEAM, PIVOT_SAMPLE } Pivot;
typedef enum { SQUARE, ROUND, GAUSS, TOPHAT } Shape;
typedef enum { MISSET_NONE, MISSET_ANGLES, MISSET_RANDOM } Misset;
typedef enum { INTERPOLATE_AUTO, INTERPOLATE_ON, INTERPOLATE_OFF } Interpolate;

enum { FAST, SLOW };
enum { HORIZONTAL, VERTICAL };

typedef struct {
    /* input files */
    const char *hkl, *dump, *mat, *img, *mask, *source_file;
    const char *stol[3], *stol_out;
    Real default_f;
    /* crystal */
    Real cell[6]; /* Angstrom, degrees */
    int misset;
    Vec misset_angles;
    Int misset_seed, mosaic_seed, seed;
    Int count[3];
    Real sample[3];
    Real density, weight;
    int shape;
    Real fudge;
    Real mosaic_spread;
    Int mosaic_domains;
    int interpolate;
    /* beam */
    Real wavelength;
    Real dispersion;
    Int dispersion_steps;
    Real divergence_range[2], divergence_step[2];
    Int divergence_steps[2];
    int square_div;
    Real kahn;
    int no_polar;
    Real fluence, flux, exposure, beam_size, water;
    int source_weights;
    /* detector */
    Real distance, close_distance;
    Real det_size[2];
    Int det_pixels[2];
    Real pixel;
    Real x_beam, y_beam, x_close, y_close, org_x, org_y;
    int pivot, convention;
    Axis fast, slow, normal, beam, polar_axis, spindle, twotheta_axis;
    Axis pix0_vector, pix0_override;
    Real twotheta, rot[3];
    int curved, point_pixel;
    Real absorption; /* depth, metres; unset also for negative depths */
    int no_sensor;   /* -detector_abs inf or 0 */
    Real thickness;
    Int thick_steps;
    /* sampling */
    Real phi, osc, phi_step;
    Int phi_steps;
    Int oversample;
    int per_term_thick, per_term_polar, per_term_omega;
    Real dmin;
    int roi[4];
    /* output */
    const char *float_file, *int_file, *pgm_file, *noise_file;
    Real scale, adc, pgm_scale;
    int no_pgm, no_noise, no_progress, quiet, coherent;
    int printout;
    Int printout_pixel[2]; /* fast, slow */
    Int trace_pixel[2];    /* slow, fast */
    int trace_all;
    /* facts from headers that only a message needs */
    Real header_distance;

} Request;

#endif
