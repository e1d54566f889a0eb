#include "smv_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flags.h"
#include "refuse.h"

typedef struct {
    char *data;
    size_t size, header_size;
    char *header; /* 0-terminated */
} Smv;

static Smv open_smv(const char *name, const char *what)
{
    static const char magic[] = "{\nHEADER_BYT";
    Smv smv;
    smv.data = read_file(name, what, &smv.size);
    if (strncmp(smv.data, magic, sizeof magic - 1) != 0) refuse("%s %s is not an SMV file", what, name);
    const char *equals = strchr(smv.data, '=');
    long bytes = equals ? strtol(equals + 1, 0, 10) : 0;
    if (bytes <= 0 || (size_t)bytes > smv.size) refuse("%s %s has no usable HEADER_BYTES", what, name);
    smv.header_size = (size_t)bytes;
    smv.header = allocate(smv.header_size + 1, 1);
    memcpy(smv.header, smv.data, smv.header_size);
    for (size_t i = 0; i < smv.header_size; i++)
        if (!smv.header[i]) smv.header[i] = ' ';
    return smv;
}

static void close_smv(Smv *smv)
{
    free(smv->header);
    free(smv->data);
}

/* The number behind the last place where the key's text occurs, also inside a longer key. */
static Real value_of(const char *header, const char *key)
{
    const char *last = 0;
    for (const char *at = header; (at = strstr(at, key)); at++) last = at;
    const char *equals = last ? strchr(last, '=') : 0;
    return equals ? (Real){true, strtod(equals + 1, 0)} : (Real){false, 0.0};
}

static void sizes_of(const char *header, int size[2])
{
    Real fast = value_of(header, "SIZE1"), slow = value_of(header, "SIZE2");
    if (!fast.given || fast.value == 0.0) fast = slow = value_of(header, "DETECTOR_DIMENSIONS");
    size[FAST] = fast.given ? (int)fast.value : 0;
    size[SLOW] = slow.given ? (int)slow.value : 0;
}

static void take(Real *field, const char *header, const char *key, Unit unit)
{
    Real value = value_of(header, key);
    if (value.given) *field = (Real){true, to_internal(value.value, unit)};
}

void take_header(Request *request, const char *name, bool is_mask)
{
    printf("reading %s\n", name);
    Smv smv = open_smv(name, is_mask ? "mask" : "image");
    const char *header = smv.header;
    int size[2];
    sizes_of(header, size);
    take(&request->pixel, header, "PIXEL_SIZE", MM);
    double pixel = request->pixel.given ? request->pixel.value : 1e-4;
    for (int i = 0; i < 2; i++) {
        if (size[i] <= 0) continue;
        request->det_pixels[i] = (Int){true, size[i]};
        request->det_size[i] = (Real){true, pixel * size[i]};
    }
    take(&request->distance, header, "DISTANCE", MM);
    request->header_distance = request->distance;
    take(&request->close_distance, header, "CLOSE_DISTANCE", MM);
    take(&request->wavelength, header, "WAVELENGTH", ANGSTROM);
    take(&request->x_beam, header, "BEAM_CENTER_X", MM);
    Real y = value_of(header, "BEAM_CENTER_Y");
    if (y.given) {
        double value = to_internal(y.value, MM);
        request->y_beam = (Real){true, is_mask ? size[SLOW] * pixel - value : value};
    }
    take(&request->org_x, header, "ORGX", PLAIN);
    take(&request->org_y, header, "ORGY", PLAIN);
    take(&request->phi, header, "PHI", DEGREE);
    take(&request->osc, header, "OSC_RANGE", DEGREE);
    Real twotheta = value_of(header, "TWOTHETA");
    if (twotheta.given && twotheta.value != 0.0)
        remark("note: TWOTHETA=%g in the header of %s has no effect (D36)", twotheta.value, name);
    close_smv(&smv);
}

uint8_t *read_mask(const char *name, int fast_pixels, int slow_pixels)
{
    Smv smv = open_smv(name, "mask");
    int size[2];
    sizes_of(smv.header, size);
    if (size[FAST] != fast_pixels || size[SLOW] != slow_pixels)
        refuse("mask %s is %d x %d pixels, the detector %d x %d", name, size[FAST], size[SLOW], fast_pixels,
               slow_pixels);
    size_t count = (size_t)fast_pixels * (size_t)slow_pixels;
    if (smv.size < smv.header_size + 2 * count) refuse("mask %s is too short for its size", name);
    uint8_t *mask = allocate(count, 1);
    const char *pixels = smv.data + smv.header_size;
    for (size_t i = 0; i < count; i++) mask[i] = pixels[2 * i] != 0 || pixels[2 * i + 1] != 0;
    close_smv(&smv);
    return mask;
}
