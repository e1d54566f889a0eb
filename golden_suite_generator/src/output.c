#include "output.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "random.h"
#include "refuse.h"

static double or_else(Real said, double otherwise) { return said.given ? said.value : otherwise; }
static const char *name_or(const char *said, const char *otherwise) { return said ? said : otherwise; }
static const char *float_name(const Request *r) { return name_or(r->float_file, "floatimage.bin"); }
static const char *int_name(const Request *r) { return name_or(r->int_file, "intimage.img"); }
static const char *pgm_name(const Request *r) { return name_or(r->pgm_file, "image.pgm"); }
static const char *noise_name(const Request *r) { return name_or(r->noise_file, "noiseimage.img"); }

Outputs open_outputs(const Request *r)
{
    Outputs o = {0};
    o.with_pgm = !r->no_pgm;
    o.with_noise = !r->no_noise;
    o.floats = open_output(float_name(r));
    o.integers = open_output(int_name(r));
    if (o.with_pgm) o.pgm = open_output(pgm_name(r));
    if (o.with_noise) o.noise = open_output(noise_name(r));
    return o;
}

Stream noise_seed(const Request *r) { return r->seed.given ? -(Stream)r->seed.value : -(Stream)time(0); }

static const char *byte_order(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one ? "little_endian" : "big_endian";
}

enum { HEADER_ROOM = 4096 };

static int header_text(char *text, int bytes, const Result *result)
{
    const Scene *s = result->scene;
    const Detector *d = &s->detector;
    const double mm = 1000.0, deg = DEGREES_PER_RADIAN;
    double p = d->pixel, phi = s->orientations.start * deg;
    int n = snprintf(text, HEADER_ROOM, "{\nHEADER_BYTES=%d;\nDIM=2;\nBYTE_ORDER=%s;\nTYPE=unsigned_short;\n", bytes,
                     byte_order());
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "SIZE1=%d;\nSIZE2=%d;\nPIXEL_SIZE=%g;\nDISTANCE=%g;\n",
                  d->pixels[FAST], d->pixels[SLOW], p * mm, d->distance * mm);
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "WAVELENGTH=%g;\nBEAM_CENTER_X=%g;\nBEAM_CENTER_Y=%g;\n",
                  s->sources.wavelength * 1e10, d->x_beam * mm, d->y_beam * mm);
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "ADXV_CENTER_X=%g;\nADXV_CENTER_Y=%g;\n", d->f_beam * mm,
                  (d->size[SLOW] - d->s_beam) * mm);
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "MOSFLM_CENTER_X=%g;\nMOSFLM_CENTER_Y=%g;\n",
                  (d->s_beam - 0.5 * p) * mm, (d->f_beam - 0.5 * p) * mm);
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "DENZO_X_BEAM=%g;\nDENZO_Y_BEAM=%g;\nDIALS_ORIGIN=%g,%g,%g\n",
                  d->s_beam * mm, d->f_beam * mm, d->dials_origin.x, d->dials_origin.y, d->dials_origin.z);
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "XDS_ORGX=%g;\nXDS_ORGY=%g;\nCLOSE_DISTANCE=%g;\n", d->org_x,
                  d->org_y, d->close_distance * mm);
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "PHI=%g;\nOSC_START=%g;\nOSC_RANGE=%g;\nTWOTHETA=%g;\n", phi,
                  phi, s->orientations.phi.range * deg, d->twotheta * deg);
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "DETECTOR_SN=000;\nBEAMLINE=fake;\nADC_OFFSET=%g;\n}\f",
                  or_else(result->request->adc, 40.0));
    return n;
}

static void put_smv(Output *output, const Result *result, const uint16_t *count)
{
    char text[HEADER_ROOM];
    int bytes = 512, used = header_text(text, bytes, result);
    if (used > bytes) used = header_text(text, bytes = 1024, result);
    memset(text + used, ' ', (size_t)(bytes - used));
    put(output, text, (size_t)bytes);
    const int *n = result->scene->detector.pixels;
    put(output, count, (size_t)n[FAST] * (size_t)n[SLOW] * sizeof *count);
}

static void write_integers(Output *output, const Result *result, double scale_by)
{
    const Scene *s = result->scene;
    int nf = s->detector.pixels[FAST], ns = s->detector.pixels[SLOW];
    double adc = or_else(result->request->adc, 40.0);
    uint16_t *count = allocate((size_t)nf * (size_t)ns, sizeof *count);
    for (int slow = 0; slow < ns; slow++)
        for (int fast = 0; fast < nf; fast++) {
            size_t i = (size_t)slow * (size_t)nf + (size_t)fast;
            if (!in_region(s, fast, slow)) continue;
            double z = result->image->value[i] * scale_by + adc;
            z = z > 65535.0 ? 65535.0 : z > 0.0 ? z : 0.0;
            double rounded = floor((float)(z + 0.5));
            count[i] = (uint16_t)(rounded > 65535.0 ? 65535.0 : rounded);
        }
    printf("writing %s as 2-byte integers\n", output->name);
    put_smv(output, result, count);
    close_output(output);
    free(count);
}

static void write_pgm(Output *output, const Result *result, double scale_by)
{
    const Scene *s = result->scene;
    int nf = s->detector.pixels[FAST], ns = s->detector.pixels[SLOW];
    char head[256];
    int size = snprintf(head, sizeof head, "P5\n%d %d\n# pixels scaled by %g\n255\n", nf, ns, scale_by);
    uint8_t *row = allocate((size_t)nf, 1);
    printf("writing %s as 1-byte integers\n", output->name);
    put(output, head, (size_t)size);
    for (int slow = 0; slow < ns; slow++) {
        for (int fast = 0; fast < nf; fast++) {
            double z = result->image->value[(size_t)slow * (size_t)nf + (size_t)fast] * scale_by;
            row[fast] = (uint8_t)(!in_region(s, fast, slow) || !(z > 0.0) ? 0.0 : z > 255.0 ? 255.0 : z);
        }
        put(output, row, (size_t)nf);
    }
    close_output(output);
    free(row);
}

static void write_noise(Output *output, const Result *result)
{
    const Scene *s = result->scene;
    int nf = s->detector.pixels[FAST], ns = s->detector.pixels[SLOW];
    double adc = or_else(result->request->adc, 40.0), total = 0.0;
    Stream stream = noise_seed(result->request);
    long overloads = 0;
    uint16_t *count = allocate((size_t)nf * (size_t)ns, sizeof *count);
    for (int slow = 0; slow < ns; slow++)
        for (int fast = 0; fast < nf; fast++) {
            if (!in_region(s, fast, slow)) continue;
            size_t i = (size_t)slow * (size_t)nf + (size_t)fast;
            double photons = draw_poisson(result->image->value[i], &stream);
            double z = photons + adc;
            total += photons;
            if (z > 65535.0) {
                z = 65535.0;
                overloads++;
            }
            count[i] = (uint16_t)(z > 0.0 ? z : 0.0);
        }
    printf("%.0f photons on noise image (%ld overloads)\n", total, overloads);
    printf("writing %s as 2-byte integers\n", output->name);
    put_smv(output, result, count);
    close_output(output);
    free(count);
}

void write_outputs(Outputs *o, const Result *result)
{
    const Request *r = result->request;
    const Image *image = result->image;
    size_t pixels = (size_t)result->scene->detector.pixels[FAST] * (size_t)result->scene->detector.pixels[SLOW];
    printf("writing %s as %zu 4-byte floats\n", o->floats.name, pixels);
    put(&o->floats, image->value, pixels * sizeof *image->value);
    close_output(&o->floats);
    printf("max_I = %g  at %g %g\n", image->max, image->max_fast, image->max_slow);
    printf("mean= %g rms= %g rmsd= %g\n", image->mean, image->rms, image->rmsd);

    double int_scale = or_else(r->scale, 0.0);
    if (int_scale <= 0.0) int_scale = image->max > 0.0 ? 55000.0 / image->max : 1.0;
    printf("intfile_scale = %g\n", int_scale);
    write_integers(&o->integers, result, int_scale);
    if (o->with_pgm) {
        double pgm_scale = or_else(r->pgm_scale, 0.0);
        if (pgm_scale <= 0.0) pgm_scale = image->rmsd > 0.0 ? 250.0 / (5.0 * image->rmsd) : int_scale;
        printf("pgm_scale = %g\n", pgm_scale);
        write_pgm(&o->pgm, result, pgm_scale);
    }
    if (o->with_noise) write_noise(&o->noise, result);
}
