#ifndef VERSION_H
#define VERSION_H

#include "defects.h"

#define PROGRAM_NAME (DEFECTS ? "nanobragg_standin" : "nanobragg_reference")
#define PROGRAM_VERSION "1.0"

#endif
