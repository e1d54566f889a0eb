/* The list of sources (specification: sources.md 6 to 8, io_formats.md 9). */
#ifndef SOURCES_H
#define SOURCES_H

#include "detector.h"
#include "steps.h"

typedef struct {
    Vec position; /* as generated or read, not normalised */
    double weight, wavelength;
    Vec incident; /* unit vector, direction of travel */
    double factor; /* of its terms: 1 unless source weights count */
} Source;

typedef struct {
    Source *list;
    int count;
    double wavelength; /* central */
    Steps horizontal, vertical, dispersion;
    bool from_file;
} Sources;

Sources settle_sources(const Request *request, const Detector *detector);
void print_sources(const Sources *sources);
/* Reads a table only to see that it can be read. */
void check_table(const char *name);

#endif
