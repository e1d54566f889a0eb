/* Geometry and mask pixels from SMV files (specification: io_formats.md 6). */
#ifndef SMV_HEADER_H
#define SMV_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"

/* Stores the header's values as if they had been said before every flag. */
void take_header(Request *request, const char *name, bool is_mask);
/* One byte per pixel, 0 where the pixel is skipped; the size must equal the detector's. */
uint8_t *read_mask(const char *name, int fast_pixels, int slow_pixels);

#endif
