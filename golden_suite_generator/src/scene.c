#include "scene.h"

#include <math.h>
#include <stdio.h>

#include "args.h"
#include "dump.h"
#include "refuse.h"
#include "smv_header.h"

static double or_else(Real said, double otherwise) { return said.given ? said.value : otherwise; }

static void settle_dose(Scene *s, const Request *r)
{
    double flux = or_else(r->flux, 0.0), exposure = or_else(r->exposure, 1.0), size = or_else(r->beam_size, 1e-4);
    s->fluence = or_else(r->fluence, 125932015286227086360700780544.0);
    if (flux != 0.0 && exposure > 0.0 && size >= 0.0) s->fluence = flux * exposure / (size * size);
    if (!isfinite(s->fluence)) refuse("the fluence is not finite");
    s->water = or_else(r->water, 0.0);
    if (s->water < 0.0) refuse("the water size must not be negative");
    s->background = 2.57 * 2.57 * ELECTRON_RADIUS_SQUARED * s->fluence * s->water * s->water * s->water * 1e6
                    * 6.02214179e23 / 18.0;
    s->kahn = or_else(r->kahn, 0.0);
    s->polarized = !r->no_polar;
}

static void settle_region(Scene *s, const int said[4])
{
    const int *n = s->detector.pixels;
    s->region.x_min = said[0] < 0 ? 0 : said[0];
    s->region.x_max = said[1] < 0 ? n[FAST] : said[1];
    s->region.y_min = said[2] < 0 ? 0 : said[2];
    s->region.y_max = said[3] < 0 ? n[SLOW] : said[3];
    const Region *r = &s->region;
    if (r->x_min > r->x_max || r->y_min > r->y_max || r->x_min >= n[FAST] || r->y_min >= n[SLOW])
        refuse("the region of interest holds no pixel");
}

static void print_layers_and_phi(const Scene *s)
{
    for (int i = 0; i < s->layers.count; i++) printf("thick%d = %g um\n", i, s->layers.step * i * 1e6);
    const Orientations *o = &s->orientations;
    for (int i = 0; i < o->phi.count; i++)
        printf("phi%d = %g\n", i, (o->start + o->phi.step * i) * DEGREES_PER_RADIAN);
}

static void warn_of_inherited(const Scene *s, const Request *r)
{
    if (s->crystal.shape == GAUSS || s->crystal.shape == TOPHAT)
        remark("WARNING: gauss and tophat widths scale with the product of the cell counts (D27)");
    if (s->background > 0.0)
        remark("WARNING: the background is scaled by r_e^2 x fluence / steps = %g once more (D29)",
               ELECTRON_RADIUS_SQUARED * s->fluence / s->steps);
    if (s->layers.count > 1 && !s->per_term_thick)
        remark("WARNING: the sum over the layers takes the last layer's capture fraction (D30, D63)");
    if (r->point_pixel) remark("WARNING: -point_pixel leaves out the pixel area (D46)");
    if (s->background > 0.0 && s->dmin > 0.0)
        remark("WARNING: pixels entirely cut by -dmin lose their background (D54)");
    if (r->osc.given && r->osc.value == 0.0 && s->orientations.phi.count == 2)
        remark("note: a range of 0 makes two identical phi steps (D59)");
}

Scene settle_scene(Request r)
{
    Scene s = {0};
    if (!r.mat && !(r.cell[0].given && r.cell[0].value != 0.0)) usage(STATUS_REFUSED);
    if (r.wavelength.given && r.wavelength.value <= 0.0) refuse("the wavelength must be positive");
    double wavelength = or_else(r.wavelength, 1e-10);
    for (int i = 0; i < 3; i++)
        if (r.stol[i]) check_table(r.stol[i]);
    clip_sample(&r);
    s.detector = settle_detector(&r);
    bool interpolate = settle_interpolation(&r);
    s.crystal = settle_crystal(&r, wavelength);
    s.layers = sensor_layers(&r);
    Domains mosaic = mosaic_domains(r.mosaic_domains, r.mosaic_spread);
    s.oversample = settle_oversample(&s.crystal, &r, wavelength, s.detector.distance, s.detector.pixel);
    s.amplitudes = settle_amplitudes(&r, interpolate);
    if (s.amplitudes.dump_to && !announce_dump(s.amplitudes.dump_to)) s.amplitudes.dump_to = 0;
    s.orientations = settle_orientations(&s.crystal, &r, phi_steps(r.phi_steps, r.osc, r.phi_step), mosaic,
                                         s.detector.spindle);
    print_layers_and_phi(&s);
    s.sources = settle_sources(&r, &s.detector);
    print_sources(&s.sources);
    printf("  created a total of %d mosaic domains\n", mosaic.count);
    s.per_term_thick = r.per_term_thick;
    s.per_term_polar = r.per_term_polar;
    s.per_term_omega = r.per_term_omega;
    s.dmin = or_else(r.dmin, 0.0);
    settle_dose(&s, &r);
    settle_region(&s, r.roi);
    s.steps = (double)s.sources.count * mosaic.count * s.orientations.phi.count * s.oversample * s.oversample;
    s.mask_name = r.mask;
    if (r.mask) s.mask = read_mask(r.mask, s.detector.pixels[FAST], s.detector.pixels[SLOW]);
    warn_of_inherited(&s, &r);
    return s;
}
