/* The build with the original's defects (specification: deviations.md A, B): a stand-in to try harnesses with. */
#ifndef DEFECTS_H
#define DEFECTS_H

#ifdef WITH_DEFECTS
enum { DEFECTS = 1 };
#else
enum { DEFECTS = 0 };
#endif

#endif
