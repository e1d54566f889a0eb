/* Detector geometry (specification: geometry.md). */
#ifndef DETECTOR_H
#define DETECTOR_H

#include "request.h"

/* Values on the way to the final geometry; only the trace reads them. */
typedef struct {
    double f_center, s_center, ratio, distance, close_distance;
    Vec term_fast, term_slow, term_along, origin_before, origin_after_rot;
    Vec fast_rot, slow_rot, normal_rot;
} DetectorStages;

typedef struct {
    int pixels[2]; /* FAST, SLOW */
    double size[2], pixel;
    Convention convention;
    Pivot pivot;
    Vec beam, fast, slow, normal, twotheta_axis, polar_axis, spindle, vertical;
    Vec rot;
    double twotheta;
    double distance, close_distance;
    double x_beam, y_beam, x_close, y_close;
    double f_beam, s_beam, f_close, s_close, org_x, org_y;
    Vec dials_origin; /* mm */
    Vec xds_beam;
    Vec origin;
    bool curved, point_pixel;
    DetectorStages stages;
} Detector;

/* Prints the lines that accompany the choices. */
Detector settle_detector(const Request *request);

/* Position of a sub-pixel at a depth behind the front surface, metres. */
Vec pixel_position(const Detector *detector, double along_fast, double along_slow, double depth);
/* Distance along an axis to the centre of sub-pixel `sub` of pixel `index`. */
static inline double along_axis(const Detector *detector, int oversample, int index, int sub)
{
    double step = detector->pixel / oversample;
    return step * ((double)index * oversample + sub) + step / 2.0;
}
double solid_angle(const Detector *detector, double distance);

#endif
