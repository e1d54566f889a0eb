/* Writing the binary structure-factor dump (specification: structure_factors.md 6). */
#ifndef DUMP_H
#define DUMP_H

#include "structure_factors.h"

/* Says whether the dump will be written, and whether it can be. */
bool announce_dump(const char *name);
void write_dump(const Amplitudes *amplitudes);

#endif
