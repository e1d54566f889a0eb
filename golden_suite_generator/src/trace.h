/* Named intermediate values of one pixel; the grammar stands in the README of this folder. */
#ifndef TRACE_H
#define TRACE_H

#include "intensity.h"

/* all: every source and domain, instead of the first and third source and the first domain. */
void trace_pixel(const Scene *scene, int slow, int fast, bool all);

#endif
