/* Image files (specification: io_formats.md 1 to 5). Each is written under a temporary name and
   renamed when complete, so that a failing run leaves existing files alone. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdio.h>

#include "image.h"

typedef struct {
    FILE *file;
    char *name, *temporary; /* no temporary for devices and pipes */
} Output;

/* Refuses what cannot be opened; unfinished outputs are removed at exit. */
Output open_output(const char *name);
void put(Output *output, const void *data, size_t size);
/* Completes the file under its own name. */
void close_output(Output *output);

typedef struct {
    const Scene *scene;
    const Request *request;
    const Image *image;
} Result;

/* Opened before the render; files that are not wanted stay unopened. */
typedef struct {
    Output floats, integers, pgm, noise;
    bool with_pgm, with_noise;
} Outputs;

Outputs open_outputs(const Request *request);
/* Writes all of them, with their messages. */
void write_outputs(Outputs *outputs, const Result *result);
Stream noise_seed(const Request *request);

#endif
