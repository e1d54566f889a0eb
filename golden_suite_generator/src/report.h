/* The summary on standard output (specification: cli.md 8) and the -printout blocks. */
#ifndef REPORT_H
#define REPORT_H

#include "image.h"
#include "output.h"

void print_summary(const Scene *scene, const Request *request);
/* Lines between the render and the output files. */
void print_render_notes(const Scene *scene, const Image *image);
/* One block per rendered pixel, or for the one chosen. */
void print_pixels(const Scene *scene, const Request *request);

#endif
